"""A connection before it is known whether it speaks HTTP/1.1 or HTTP/2."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from gateway.http.framing.http2_server import PREFACE
from gateway.http.server.address_limits import AddressUsage
from gateway.http.server.context import ServerContext
from gateway.http.server.drain import DRAIN_SILENCE_S
from gateway.http.server.http1.connection import Http1ServerConnection
from gateway.http.server.http2.connection import Http2ServerConnection
from gateway.http.server.registry import Connection

_DECISIVE: Final = 4
"""Bytes of HTTP/2's preface that no HTTP/1.1 request begins with."""


class ProtocolSniffer(asyncio.Protocol):
    """Finds out whether HTTP/1.1 or HTTP/2 is spoken, and hands the connection over.

    Under TLS, ALPN has decided it; otherwise the first bytes do. ``usage``: of ``peer``, the client's
    address, which counts the connection. ``arrived`` is called when the connection is open.
    """

    def __init__(
        self, context: ServerContext, peer: str, usage: AddressUsage, arrived: Callable[[], object]
    ) -> None:
        self._context, self._peer = context, peer
        self._usage, self._arrived = usage, arrived
        self._transport: asyncio.Transport | None = None
        self._early = b""
        self._since = context.loop.time()

    def __repr__(self) -> str:
        return f"<ProtocolSniffer {self._peer or 'without an address'}, {len(self._early)} bytes early>"

    def connection_made(self, transport: Any) -> None:
        """Take a new connection; while the listener drains it is closed."""
        self._transport = transport
        self._arrived()
        self._context.registry.add(self, self._usage)
        if self._context.drain.is_active:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Look at the first bytes."""
        data = self._early + data if self._early else data
        self._early = b""
        agreed = self._agreed()
        if agreed is None and len(data) < _DECISIVE and PREFACE.startswith(data):
            self._early = data
            return
        is_http2 = agreed == "h2" if agreed is not None else data.startswith(PREFACE[:_DECISIVE])
        self._hand_over(data, is_http2=is_http2)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Remove the connection from the registry."""
        self._context.registry.remove(self)

    def sweep(self, now: float) -> None:
        """End a connection that sends nothing."""
        context = self._context
        if now - self._since > (
            DRAIN_SILENCE_S if context.drain.is_active else context.settings.request_headers_timeout_s
        ):
            self.abort()

    def drain(self) -> None:
        """Wait a little for the first request: it may be on its way, and its response ends the connection."""
        self._since = self._context.loop.time()

    def abort(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def give_way(self) -> bool:
        """Close the connection: no request has come."""
        self.abort()
        return True

    def _agreed(self) -> str | None:
        assert self._transport is not None
        tls = self._transport.get_extra_info("ssl_object")
        return None if tls is None else tls.selected_alpn_protocol() or "http/1.1"

    def _hand_over(self, data: bytes, *, is_http2: bool) -> None:
        transport = self._transport
        assert transport is not None
        kind = Http2ServerConnection if is_http2 else Http1ServerConnection
        connection = kind(self._context, transport, self._peer)
        self._context.registry.replace(self, connection)
        transport.set_protocol(connection)
        if self._context.drain.is_active:
            connection.drain()
        connection.data_received(data)


_: type[Connection] = ProtocolSniffer
