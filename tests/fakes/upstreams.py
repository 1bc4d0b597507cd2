"""What stands at the other end of an upstream: gateways, foreign servers, and peers that play a script.

Example::

    async with scripted_peer(play) as peer:              # ``play(reader, writer)`` once per connection
        async with http_upstream(peer.port) as upstream:
            error = await fails(upstream(request()))
        assert peer.connections == 1
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.core.clock import Clock, LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from tests.fakes.data_plane import fake_data_plane
from tests.fakes.listener import listener_of

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Foreign = Callable[[bytes, Any], Awaitable[bytes]]


def http_upstream_to(port: int, clock: Clock | None = None, **options: Any) -> HttpUpstream:
    return HttpUpstream("far", f"http://127.0.0.1:{port}/", clock or LoopClock(), **options)


def grpc_upstream_to(port: int, **options: Any) -> GrpcUpstream:
    return GrpcUpstream("far", f"127.0.0.1:{port}", LoopClock(), **options)


@asynccontextmanager
async def http_upstream(port: int, **options: Any) -> AsyncIterator[HttpUpstream]:
    upstream = http_upstream_to(port, **options)
    try:
        yield upstream
    finally:
        await upstream.aclose()


@asynccontextmanager
async def grpc_upstream(port: int, **options: Any) -> AsyncIterator[GrpcUpstream]:
    upstream = grpc_upstream_to(port, **options)
    try:
        yield upstream
    finally:
        await upstream.aclose()


@asynccontextmanager
async def before(upstream_to: Callable[[int], Any], service: Any, **changes: Any) -> AsyncIterator[Any]:
    """An upstream whose other side is a gateway before ``service``; ``changes`` are those of its front."""
    listener = listener_of(fake_data_plane(service, **changes))
    await listener.start("127.0.0.1", 0)
    upstream = upstream_to(listener.port)
    try:
        yield upstream
    finally:
        await upstream.aclose()
        await listener.aclose()


class Peer:
    """A listening socket whose connections play a script.

    A script that raises fails the test when the peer is left; that the client hung up is no failure of
    the script, and is counted.
    """

    def __init__(self, play: Play) -> None:
        self._play = play
        self.port = 0
        self.connections = 0
        self.hung_up = 0
        self.failures: list[Exception] = []
        self.playing: set[asyncio.Task[None]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.playing.add(task)
        try:
            await self._play(reader, writer)
            await writer.drain()
        except ConnectionError:
            self.hung_up += 1
        except asyncio.IncompleteReadError as cut:
            # Nothing was said at all: a client on a busy machine whose time was up as soon as it was connected.
            self.hung_up += 1
            if cut.partial:
                self.failures.append(cut)
        except Exception as failure:  # noqa: BLE001 - raised again where the test can see it
            self.failures.append(failure)
        except asyncio.CancelledError:
            # Only ``scripted_peer`` cancels, at the end; streams would log it as an error.
            return
        finally:
            self.playing.discard(task)
            writer.close()

    def __repr__(self) -> str:
        return f"<Peer {self.connections} connections, {self.hung_up} hung up>"


@asynccontextmanager
async def scripted_peer(play: Play, port: int = 0) -> AsyncIterator[Peer]:
    """A peer on a free port that plays ``play`` on each connection, then closes it."""
    peer = Peer(play)
    server = await asyncio.start_server(peer, "127.0.0.1", port)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        if peer.playing:
            # Their clients have left by now; who still waits, waits for nothing.
            await asyncio.wait(peer.playing, timeout=0.2)
        for task in peer.playing:
            task.cancel()
        await asyncio.sleep(0)
        if peer.failures:
            raise peer.failures[0]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one HTTP/1.1 request, body and all; return its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            await reader.readexactly(int(line.partition(b":")[2]))
    return head


@asynccontextmanager
async def foreign_http(
    answer: bytes | None, received: list[bytes] | None = None, **options: Any
) -> AsyncIterator[HttpUpstream]:
    """An upstream whose other side reads a request, sends ``answer`` (None: nothing, ever) and closes."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        if received is not None:
            received.append(head)
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)

    async with scripted_peer(play) as peer, http_upstream(peer.port, **options) as upstream:
        yield upstream


def http(status: int, body: bytes = b"", *lines: str, length: int | None = None, close: bool = True) -> bytes:
    """An HTTP/1.1 answer as bytes; ``length`` is what it claims when that is not the truth."""
    head = [
        f"HTTP/1.1 {status} Whatever",
        f"Content-Length: {len(body) if length is None else length}",
        *(("Connection: close",) if close else ()),
        *lines,
    ]
    return "\r\n".join([*head, "\r\n"]).encode() + body


@asynccontextmanager
async def foreign_grpc(method: Foreign, **options: Any) -> AsyncIterator[GrpcUpstream]:
    """An upstream whose other side, a grpc.aio server, answers every method with what ``method`` returns."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(method)
    names = ("ModelInfer", "ModelMetadata", "ModelReady")
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "inference.GRPCInferenceService", dict.fromkeys(names, handler)
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc_upstream(port, **options) as upstream:
            yield upstream
    finally:
        await server.stop(None)


def aborting(code: grpc.StatusCode, details: str = "", trailing: tuple[tuple[str, str], ...] = ()) -> Foreign:
    """A method that ends every call with ``code``."""

    async def method(_body: bytes, context: Any) -> bytes:
        await context.abort(code, details, trailing)
        return b""

    return method


async def fails(call: Awaitable[Any]) -> GatewayError:
    """Await ``call``, which must fail, and return its error."""
    with pytest.raises(GatewayError) as caught:
        await call
    return caught.value


def flags(error: GatewayError) -> tuple[Fault, bool, bool]:
    """What Retry and Breaker look at."""
    return error.fault, error.retryable, error.counts


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that the loop is about to do."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)
