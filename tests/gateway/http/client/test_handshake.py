"""A failed handshake in words."""

from __future__ import annotations

import ssl

import pytest

from gateway.http.client.handshake import NoProtocolError, finding_of, tls_error


def error_of(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("WRONG_VERSION_NUMBER", "does not speak TLS"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "no version of TLS"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "wants a certificate"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "has expired"),
        ("SOMETHING_NEW", "something new"),
    ],
)
def test_reasons_have_words(reason, what):
    """Those that nobody has thought of, too; each with something to do."""
    found = finding_of(error_of(reason))
    assert what in found.what
    assert found.do


def test_no_protocol_is_a_failure_of_tls():
    """It is found out after the handshake, and means the same."""
    assert "ALPN" in finding_of(NoProtocolError()).what


def test_a_cause_counts_only_if_it_is_known():
    """A connection that ends in the middle has a failure of TLS, too, which is none of the handshake."""
    lost = ConnectionError("lost")
    assert tls_error(lost) is None
    lost.__cause__ = error_of("APPLICATION_DATA_AFTER_CLOSE_NOTIFY")
    assert tls_error(lost) is None
    lost.__cause__ = error_of("TLSV13_ALERT_CERTIFICATE_REQUIRED")
    assert tls_error(lost) is lost.__cause__
    assert tls_error(None) is None
