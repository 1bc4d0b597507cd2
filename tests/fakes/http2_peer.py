"""A server of HTTP/2 that does what a test tells it to, well or badly.

Example::

    async with http2_peer(lambda call: call.answer(b"message")) as peer:
        async with grpc_upstream(peer.port) as upstream: ...
        peer.connections[0].resets     # streams that the client ended, with their codes
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import ngh2

HEADERS = [(b":status", b"200"), (b"content-type", b"application/grpc")]


def framed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


class Call:
    """One request, whole, and the ways to answer it."""

    def __init__(self, connection: Connection, stream: int) -> None:
        self.connection, self.stream = connection, stream
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    def answer(self, message: bytes = b"", *trailers: tuple[bytes, bytes], headers: Any = HEADERS) -> None:
        http2 = self.connection.http2
        http2.send_response(self.stream, headers)
        http2.send_data(self.stream, framed(message))
        http2.send_trailers(self.stream, trailers or [(b"grpc-status", b"0")])
        self.connection.flush()

    def reset(self, code: int) -> None:
        self.connection.http2.reset_stream(self.stream, code)
        self.connection.flush()


class Connection(asyncio.Protocol):
    """One connection. ``deaf`` True: it reads and says nothing any more, not even to pings."""

    def __init__(self, peer: Http2Peer) -> None:
        self.peer = peer
        self.http2 = ngh2.Connection(ngh2.Role.SERVER)
        self.calls: dict[int, Call] = {}
        self.resets: list[tuple[int, int]] = []
        self.pings = 0
        self.deaf = False
        self.is_lost = False
        peer.connections.append(self)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.peer.greeting is None:
            self.http2.initiate_connection(dict(self.peer.settings))
            self.flush()
        elif self.peer.greeting:
            transport.write(self.peer.greeting)
        if self.peer.greeting is not None:
            self.deaf = True

    def data_received(self, data: bytes) -> None:
        if self.deaf:
            return
        self.http2.receive_data(data)
        for event in self.http2.events():
            match event:
                case ngh2.RequestReceived(stream_id=stream, headers=headers):
                    self.calls[stream] = Call(self, stream)
                    self.calls[stream].headers = dict(headers)
                case ngh2.DataReceived(stream_id=stream, data=body, end_stream=ended):
                    call = self.calls[stream]
                    call.body += body
                    if ended:
                        self.peer.calls.append(call)
                        self.peer.play(call)
                case ngh2.StreamReset(stream_id=stream, error_code=code):
                    self.resets.append((stream, code))
                case ngh2.PingReceived():
                    self.pings += 1
                case _:
                    pass
        self.flush()

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_lost = True

    def flush(self) -> None:
        if not self.deaf and (data := self.http2.data_to_send()):
            self.transport.write(data)

    def go_away(self, last: int, code: int = 0) -> None:
        self.http2.send_goaway(code, last_stream_id=last)
        self.flush()


class Http2Peer:
    """A listening socket of such connections; ``play`` is called with each whole request."""

    def __init__(
        self, play: Callable[[Call], Any], settings: Mapping[int, int], greeting: bytes | None
    ) -> None:
        self.play, self.settings, self.greeting = play, settings, greeting
        self.connections: list[Connection] = []
        self.calls: list[Call] = []
        self.port = 0

    def __repr__(self) -> str:
        return f"<Http2Peer {len(self.connections)} connections, {len(self.calls)} calls>"


@asynccontextmanager
async def http2_peer(
    play: Callable[[Call], Any],
    settings: Mapping[int, int] | None = None,
    greeting: bytes | None = None,
    port: int = 0,
) -> AsyncIterator[Http2Peer]:
    """A peer on a free port. ``greeting`` is sent instead of SETTINGS, and nothing after it."""
    peer = Http2Peer(play, settings or {}, greeting)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(peer), "127.0.0.1", port)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for connection in peer.connections:
            connection.transport.abort()
        await asyncio.sleep(0)
