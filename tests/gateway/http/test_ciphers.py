"""Ciphers of TLS 1.2."""

from __future__ import annotations

import ssl

import pytest

from gateway.http.ciphers import narrow
from gateway.http.client.tls import trusting_context


def narrowed() -> ssl.SSLContext:
    context = ssl.create_default_context()
    narrow(context)
    return context


@pytest.mark.parametrize("make", [narrowed, trusting_context])
def test_all_are_authenticated_and_have_fresh_keys(make):
    found = make().get_ciphers()
    assert any(cipher["protocol"] == "TLSv1.2" for cipher in found)
    for cipher in found:
        assert cipher["aead"], cipher["name"]
        assert cipher["protocol"] == "TLSv1.3" or cipher["name"].startswith(("ECDHE-", "DHE-"))
