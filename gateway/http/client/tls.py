"""Whom a client of another server trusts."""

from __future__ import annotations

import ssl

from gateway.http.ciphers import narrow


def trusting_context() -> ssl.SSLContext:
    """Return a context that trusts the machine's own CAs, and verifies names, alike on every Python.

    Since 3.13 Python's default refuses CAs without a key usage (RFC 5280, strictly) and takes a trusted
    intermediate for a root. The first would end a private CA that worked until Python was updated, and that
    curl, Envoy and gRPC accept; the second is taken everywhere.
    """
    context = ssl.create_default_context()
    narrow(context)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
