"""A server's connection without a socket, in virtual time: its limits take no time to test.

Example::

    @virtual_time
    async def test_an_idle_connection():
        async with connected(Http1ServerConnection, idle_timeout_s=60) as peer:
            await asyncio.sleep(61)
            assert peer.is_over
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.http.server.context import ServerContext
from tests.fakes.server_context import FakeTransport, open_context


class ConnectedTransport(FakeTransport):
    """Tells its protocol of its end, as a real one does: in the next turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.has_ended = False

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_ended = True


class Peer:
    """The other end. ``received``: all that came."""

    def __init__(self, transport: ConnectedTransport, context: ServerContext) -> None:
        self._transport, self._context = transport, context

    def send(self, data: bytes) -> None:
        if not self._transport.closed:
            self._transport.protocol.data_received(data)

    @property
    def received(self) -> bytes:
        return b"".join(self._transport.written)

    @property
    def statuses(self) -> list[int]:
        """Of the HTTP/1.1 responses that came."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", self.received)]

    @property
    def is_read(self) -> bool:
        """Whether the server reads on."""
        return self._transport.noted[-1:] != ["pause"]

    @property
    def booked(self) -> int:
        """Bytes that are booked, of this connection as the only one."""
        return self._context.address_limits.held

    @property
    def is_over(self) -> bool:
        """Whether the server has closed the connection."""
        return self._transport.closed

    @property
    def has_ended(self) -> bool:
        """Whether the server has said that it writes no more."""
        return self._transport.has_ended or self.is_over

    def leave(self) -> None:
        self._transport.close()

    def drain(self) -> None:
        """Let the server's listener drain."""
        self._context.drain.begin()


@asynccontextmanager
async def connected(kind: Any, application: Any = None, **settings: Any) -> AsyncIterator[Peer]:
    """A connection of ``kind``; afterwards nothing is counted any more."""
    async with open_context(application, **settings) as context:
        transport = ConnectedTransport()
        transport.protocol = connection = kind(context, transport, "10.0.0.1")
        usage = context.address_limits.of("10.0.0.1")
        assert usage.admit()
        context.registry.add(connection, usage)
        peer = Peer(transport, context)
        yield peer
        peer.leave()
        await _at_rest(context)


async def _at_rest(context: ServerContext) -> None:
    async with asyncio.timeout(60):
        while context.running or context.address_limits.held or context.registry:
            await asyncio.sleep(0.01)
