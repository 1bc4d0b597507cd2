"""Answers of servers to whom TLS was not spoken as they want it: with a 400, though no request was wrong."""

from __future__ import annotations

from typing import Final

from gateway.core.tensor import Buffer
from gateway.http.client.handshake import NO_TLS_HERE, NOT_TRUSTED, WANTS_ONE, TlsFinding

_SEARCHED_BYTES: Final = 1024

_SENTENCES: Final = (
    (b"No required SSL certificate was sent", WANTS_ONE),
    (b"The SSL certificate error", NOT_TRUSTED),
    (b"The plain HTTP request was sent to HTTPS port", NO_TLS_HERE),
    (b"speaking plain HTTP to an SSL-enabled server port", NO_TLS_HERE),
    (b"Client sent an HTTP request to an HTTPS server", NO_TLS_HERE),
)
"""Of nginx, Apache, and servers in Go."""


class HandshakeRefusedError(Exception):
    """The server answered that the connection is not as it wants it; ``found`` says what is wrong."""

    def __init__(self, found: TlsFinding) -> None:
        super().__init__(found.what)
        self.found = found


def refusal_before_http(body: Buffer) -> TlsFinding | None:
    """Return what is wrong with the connection, where the ``body`` of a 400 speaks of that."""
    begins = bytes(memoryview(body)[:_SEARCHED_BYTES])
    for sentence, found in _SENTENCES:
        if sentence in begins:
            return found
    return None
