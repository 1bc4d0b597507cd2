"""Answers of servers that want to be spoken to otherwise."""

from __future__ import annotations

import pytest

from gateway.upstreams.tls_refusals import refusal_before_http


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<center>No required SSL certificate was sent</center>", "wants a certificate"),
        (b"<center>The SSL certificate error</center>", "does not accept"),
        (b"<center>The plain HTTP request was sent to HTTPS port</center>", "in TLS"),
        (b"Client sent an HTTP request to an HTTPS server.\n", "in TLS"),
    ],
)
def test_they_are_known_by_their_sentence(body, says):
    """Anything else is about the request."""
    found = refusal_before_http(body)
    assert found is not None
    assert says in found.what
    assert refusal_before_http(memoryview(b'{"error":"no such input"}')) is None
    assert refusal_before_http(b"x" * 2000 + body) is None
