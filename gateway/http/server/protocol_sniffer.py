"""A connection before anybody knows what it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.http.framing.http2_server import PREFACE
from gateway.http.server.address_limits import AddressUsage
from gateway.http.server.context import Connection, ServerContext
from gateway.http.server.http1.connection import Http1ServerConnection
from gateway.http.server.http1.phase import DRAIN_SILENCE_S
from gateway.http.server.http2.connection import Http2ServerConnection

_TELLING: int = 4
"""Bytes of HTTP/2's preface that no HTTP/1.1 request begins with."""


class ProtocolSniffer(asyncio.Protocol):
    """Finds out whether HTTP/1.1 or HTTP/2 is spoken, and hands the connection over.

    Under TLS the handshake has agreed on one; else the first bytes tell. ``account``: the client's, which has
    counted the connection. ``arrived`` is called when the connection is open.
    """

    def __init__(self, ledger: ServerContext, account: AddressUsage, arrived: Callable[[], object]) -> None:
        self._ledger = ledger
        self._account, self._arrived = account, arrived
        self._transport: asyncio.Transport | None = None
        self._peer = account.address
        self._early = b""
        self._since = ledger.loop.time()

    def __repr__(self) -> str:
        return f"<ProtocolSniffer {self._peer or 'of nobody known'}, {len(self._early)} bytes early>"

    def connection_made(self, transport: Any) -> None:
        """Take a new connection; one that comes while the others are leaving has come too late."""
        self._transport = transport
        self._arrived()
        self._ledger.enter(self, self._account)
        if self._ledger.is_draining:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes."""
        data = self._early + data if self._early else data
        self._early = b""
        agreed = self._agreed()
        if agreed is None and len(data) < _TELLING and PREFACE.startswith(data):
            self._early = data
            return
        speaks_2 = agreed == "h2" if agreed is not None else data.startswith(PREFACE[:_TELLING])
        self._hand_over(data, speaks_2=speaks_2)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Strike the connection out."""
        self._ledger.leave(self)

    def sweep(self, now: float) -> None:
        """End a connection that says nothing."""
        ledger = self._ledger
        if now - self._since > (
            DRAIN_SILENCE_S if ledger.is_draining else ledger.settings.request_headers_timeout_s
        ):
            self.abort()

    def drain(self) -> None:
        """Wait a little for the first request: it may be on its way, and is answered with word of the end."""
        self._since = self._ledger.loop.time()

    def abort(self) -> None:
        """End now."""
        if self._transport is not None:
            self._transport.abort()

    def _agreed(self) -> str | None:
        assert self._transport is not None
        tls = self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.selected_alpn_protocol() or "http/1.1"

    def _hand_over(self, data: bytes, *, speaks_2: bool) -> None:
        transport = self._transport
        assert transport is not None
        kind = Http2ServerConnection if speaks_2 else Http1ServerConnection
        speaker = kind(self._ledger, transport, self._peer)
        self._ledger.move(self, speaker)
        transport.set_protocol(speaker)
        if self._ledger.is_draining:
            speaker.drain()
        speaker.data_received(data)


_: type[Connection] = ProtocolSniffer
