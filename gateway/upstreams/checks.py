"""What the health checks and the reading of answers have in common on both wires."""

from __future__ import annotations

import re
from typing import Final

from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.tensor import Buffer
from gateway.core.verdict import Verdict
from gateway.http.client.addresses import Addresses
from gateway.http.client.dialer import Dialer
from gateway.http.client.http2_connection import Http2ClientConnection, Http2ClientOwner
from gateway.http.client.shortage import lack
from gateway.http.client.tls import TlsSource
from gateway.upstreams.failures import reason_of
from gateway.upstreams.settings import ConnectSettings

_NO_ANSWER: Final = re.compile(rb"(?<![\w\"])(?:null|-?NaN|-?Infinity)(?![\w\"])")
_WORDS: Final = (b"null", b"NaN", b"Infinity")
_SEARCHED_BYTES: Final = 1 << 18
_LIMITS: Final = ("more than", "nested too deeply", "must be at most")
_NOT_READY: Final = frozenset({400, 408})
"""Besides 5xx: Triton answers 400 when it is not ready. Any other status is that of a server that works."""


class NoOwner:
    """The owner of a connection that is used once."""

    def freed(self, connection: Http2ClientConnection) -> None:
        """Do nothing: no call waits for a free stream."""

    def retired(self, connection: Http2ClientConnection) -> None:
        """Do nothing: no other call would use the connection."""

    def ended(self, connection: Http2ClientConnection) -> None:
        """Do nothing: the one who uses the connection gets its error."""


def dialer_of(
    host: str, port: int, settings: ConnectSettings, tls: TlsSource | None = None, server_name: str = ""
) -> Dialer:
    """Return what connects to an endpoint; ``server_name``: what TLS asks for, empty: ``host``."""
    addresses = Addresses(
        host, port, timeout_s=settings.resolve_timeout_s, refresh_s=settings.dns_refresh_rate_s
    )
    return Dialer(addresses, server_name or host, port, connect_timeout_s=settings.connect_timeout_s, tls=tls)


def is_ready(status: int) -> bool:
    """Whether the HTTP status of an answer about readiness is one of a server that works."""
    return status < 500 and status not in _NOT_READY


def lost(error: Exception) -> Verdict:
    """Return what a health check found that ended without an answer."""
    return Verdict(ours=True) if lack(error) else Verdict(Why(reason_of(error)))


def unreadable(json: Buffer, error: GatewayError) -> str:
    """Return why an answer that is as its server meant it cannot be read; empty when it is simply broken.

    ``json`` is the answer without its binary data, ``error`` the decoder's. Of a long one no more than the
    beginning is searched: the loop stands still meanwhile.
    """
    if error.fault is Fault.INVALID:
        searched = bytes(memoryview(json)[:_SEARCHED_BYTES])
        found = _NO_ANSWER.search(searched) if any(word in searched for word in _WORDS) else None
        if found is not None:
            return f"its JSON holds {found[0].decode()} where a value should be"
    if error.fault is Fault.TOO_LARGE or any(each in error.message for each in _LIMITS):
        return error.message.replace("request", "answer").replace("input ", "output ")
    return ""


_: type[Http2ClientOwner] = NoOwner
