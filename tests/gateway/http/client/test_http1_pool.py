"""The HTTP/1.1 connections to one endpoint: how many, how long, and what their ends mean."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from gateway.http.client.backoff import Backoff
from gateway.http.client.dialer import UnreachableError
from gateway.http.client.http1_connection import ConnectionLostError
from gateway.http.client.http1_pool import Http1Pool
from gateway.http.framing.errors import FramingError
from gateway.upstreams.checks import dialer_of
from gateway.upstreams.failures import is_overload
from gateway.upstreams.settings import ConnectSettings
from tests.fakes.redis_server import free_port
from tests.fakes.upstreams import http, read_request, scripted_peer, until

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"


@asynccontextmanager
async def pool_to(port: int, **options: Any) -> AsyncIterator[Http1Pool]:
    pool = Http1Pool(
        dialer_of("127.0.0.1", port, ConnectSettings(connect_timeout_s=1), None),
        options.pop("backoff", None) or Backoff(0.01, 0.02, Random(1)),
        **{
            "connections": 0,
            "keepalive_s": 30.0,
            "is_overload": is_overload,
            "max_head_bytes": 4096,
            "max_body_bytes": 1 << 24,
            **options,
        },
    )
    try:
        yield pool
    finally:
        await pool.aclose()


async def ask(pool: Http1Pool, body: bytes = b"hi") -> bytes:
    head = HEAD.replace(b": 2", b": %d" % len(body))
    return (await pool.call("POST", head, [body], len(body))).body


class Script:
    """Answers every request with ``answer``; requests wait while ``gate`` is shut."""

    def __init__(self, answer: bytes = http(200, b"ok", close=False)) -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests = 0
        self.at_once = self.most_at_once = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            try:
                await read_request(reader)
            except asyncio.IncompleteReadError as left:
                assert not left.partial
                return
            self.requests += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            await asyncio.sleep(0.001)
            await self.gate.wait()
            self.at_once -= 1
            writer.write(self.answer)


async def test_never_more_connections_than_agreed():
    """Requests beyond the limit wait in order; each gets its answer."""
    script = Script()
    async with scripted_peer(script) as peer, pool_to(peer.port, connections=3) as pool:
        answers = await asyncio.gather(*(ask(pool) for _ in range(50)))

        assert repr(pool) == "<Http1Pool 3 open, 3 idle, 0 opening, 0 waiting>"

    assert answers == [b"ok"] * 50
    assert (peer.connections, script.most_at_once) == (3, 3)


async def test_who_leaves_takes_only_its_own_connection():
    """A cancelled call closes its connection, one that waits none; the others go on."""
    script = Script()
    script.gate.clear()
    async with scripted_peer(script) as peer, pool_to(peer.port, connections=2) as pool:
        calls = [asyncio.ensure_future(ask(pool)) for _ in range(5)]
        await until(lambda: script.requests == 2)
        calls[0].cancel()
        calls[3].cancel()
        await until(lambda: script.requests == 3)
        script.gate.set()
        ended = await asyncio.gather(*calls, return_exceptions=True)

        await until(lambda: (pool.open, pool.idle) == (2, 2))

    assert [type(end) for end in ended].count(asyncio.CancelledError) == 2
    assert [end for end in ended if end == b"ok"] == [b"ok"] * 3
    assert peer.connections == 3


async def test_leaving_while_a_connection_is_on_its_way():
    """The connection stays for the next one."""
    script = Script()
    async with scripted_peer(script) as peer, pool_to(peer.port) as pool:
        call = asyncio.ensure_future(ask(pool))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: (pool.open, pool.idle) == (1, 1))

        assert await ask(pool) == b"ok"
        assert peer.connections == 1


async def test_leaving_in_the_moment_that_a_connection_is_handed_over():
    """It goes to the next in the queue, or idle."""
    async with scripted_peer(Script()) as peer, pool_to(peer.port, connections=1) as pool:

        async def first() -> None:
            await ask(pool)
            # By now the second call has been given the connection, and has not yet seen it.
            second.cancel()

        running = asyncio.ensure_future(first())
        second = asyncio.ensure_future(ask(pool))
        await running
        with pytest.raises(asyncio.CancelledError):
            await second

        assert repr(pool) == "<Http1Pool 1 open, 1 idle, 0 opening, 0 waiting>"
        assert peer.connections == 1


async def test_idle_connections_are_closed():
    """One timer for all of them; a connection in use is not idle."""
    async with scripted_peer(Script()) as peer, pool_to(peer.port, keepalive_s=0.05) as pool:
        await asyncio.gather(*(ask(pool) for _ in range(3)))
        async with asyncio.timeout(30):
            while pool.open > 1:
                await ask(pool)
        assert (pool.open, pool.idle, peer.connections) == (1, 1, 3)

        await until(lambda: not pool.open)


async def test_a_connection_that_its_peer_closed_is_not_used():
    """The end of an idle connection is noticed at once."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(http(200, b"ok", close=False))

    async with scripted_peer(once) as peer, pool_to(peer.port) as pool:
        assert await ask(pool) == b"ok"
        await until(lambda: not pool.open)
        assert await ask(pool) == b"ok"

        assert peer.connections == 2


async def test_noise_on_an_idle_connection_ends_it():
    """Bytes that nobody asked for could be taken for the next answer."""

    async def noisy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(http(200, b"ok", close=False))
        await asyncio.sleep(0.01)
        writer.write(http(200, b"evil", close=False))
        await reader.read()

    async with scripted_peer(noisy) as peer, pool_to(peer.port) as pool:
        assert await ask(pool) == b"ok"
        await until(lambda: not pool.open)


class Closing(asyncio.Protocol):
    """A server that says ``second`` to the second request of a connection."""

    def __init__(self, world: list[Any]) -> None:
        self.world = world
        world.append(self)
        self.requests = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        self.requests += 1
        if self.requests == 1:
            self.transport.write(http(200, b"ok", close=False))
        else:
            self.transport.close()


async def test_a_stale_connection_costs_nothing():
    """A request lost on a connection that its peer had closed before is sent once more."""
    world: list[Any] = []
    server = await asyncio.get_running_loop().create_server(lambda: Closing(world), "127.0.0.1", 0)
    async with pool_to(server.sockets[0].getsockname()[1]) as pool:
        assert await ask(pool) == b"ok"
        # Closed by the peer, but the loop has not yet told: the request goes into a dead connection.
        number = world[0].transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as theirs:
            theirs.shutdown(socket.SHUT_RDWR)
        assert await ask(pool) == b"ok"
    server.close()

    assert [connection.requests for connection in world] == [1, 1]


async def test_a_request_that_its_peer_read_is_not_repeated():
    """Who took the request may have done something about it."""
    world: list[Any] = []
    server = await asyncio.get_running_loop().create_server(lambda: Closing(world), "127.0.0.1", 0)
    async with pool_to(server.sockets[0].getsockname()[1]) as pool:
        await ask(pool)
        with pytest.raises(ConnectionLostError) as lost:
            await ask(pool)
    server.close()

    assert not lost.value.untouched
    assert [connection.requests for connection in world] == [2]


async def test_nobody_there():
    """Calls fail together, at once while it is too early to try again, and one attempt finds a server."""
    port = free_port()
    backoff = Backoff(60.0, 60.0, Random(1))
    async with pool_to(port, backoff=backoff) as pool:
        ended = await asyncio.gather(*(ask(pool) for _ in range(10)), return_exceptions=True)
        assert {type(end) for end in ended} == {UnreachableError}
        failures = backoff.failures
        with pytest.raises(UnreachableError):
            await ask(pool)
        assert backoff.failures == failures

        backoff.until = 0.0
        script = Script()
        async with scripted_peer(script, port) as peer:
            answers = await asyncio.gather(*(ask(pool) for _ in range(20)))
            assert answers == [b"ok"] * 20
            assert backoff.failures == 0
            await pool.aclose()
        assert peer.connections <= 20


async def test_slow_start():
    """After a failure one connection is tried; only when it opens are there more at once."""
    port = free_port()
    backoff = Backoff(0.001, 0.001, Random(1))
    async with pool_to(port, backoff=backoff) as pool:
        with pytest.raises(UnreachableError):
            await ask(pool)
        await asyncio.sleep(0.01)

        calls = [asyncio.ensure_future(ask(pool)) for _ in range(10)]
        await asyncio.sleep(0)
        assert (pool.opening, pool.waiting) == (1, 10)
        await asyncio.gather(*calls, return_exceptions=True)


async def test_closing_ends_everything():
    """Calls under way and waiting fail; so does what comes later; nothing is left open."""
    script = Script()
    script.gate.clear()
    async with scripted_peer(script) as peer:
        async with pool_to(peer.port, connections=1) as pool:
            calls = [asyncio.ensure_future(ask(pool)) for _ in range(3)]
            await until(lambda: script.requests == 1)
            await pool.aclose()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            with pytest.raises(UnreachableError):
                await ask(pool)
        script.gate.set()

    assert [type(end) for end in ended] == [ConnectionLostError, UnreachableError, UnreachableError]
    assert repr(pool) == "<Http1Pool 0 open, 0 idle, 0 opening, 0 waiting>"


async def test_closing_while_connecting():
    """A connection that is on its way is given up."""
    async with scripted_peer(Script()) as peer, pool_to(peer.port) as pool:
        call = asyncio.ensure_future(ask(pool))
        await asyncio.sleep(0)
        await pool.aclose()
        with pytest.raises(UnreachableError):
            await call


async def test_a_peer_that_hangs_up_at_once():
    """Whether it does so before or after the request is sent, nobody waits for an answer."""

    class Hangs(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            transport.abort()

    server = await asyncio.get_running_loop().create_server(Hangs, "127.0.0.1", 0)
    async with pool_to(server.sockets[0].getsockname()[1]) as pool:
        async with asyncio.timeout(30):
            for _ in range(20):
                with pytest.raises((ConnectionLostError, UnreachableError)):
                    await ask(pool)
    server.close()


async def test_a_connection_that_is_gone_before_it_is_used(monkeypatch: pytest.MonkeyPatch):
    """It is a failure to connect, and whoever waits for it hears so."""
    async with scripted_peer(Script()) as peer, pool_to(peer.port) as pool:
        dial = pool.dialer.dial

        async def dropped(factory: Any) -> Any:
            connection = await dial(factory)
            connection.close()
            return connection

        monkeypatch.setattr(pool.dialer, "dial", dropped)
        async with asyncio.timeout(30):
            with pytest.raises(UnreachableError):
                await ask(pool)


async def test_large_bodies_both_ways():
    """16 MiB pass in both directions, whole."""
    large = bytes(range(256)) * (1 << 16)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(200, await reader.readexactly(len(large)), close=False))
        await reader.read()

    async with scripted_peer(echo) as peer, pool_to(peer.port) as pool:
        assert await ask(pool, large) == large


async def test_an_early_answer():
    """A server may refuse a request that it has not read; that connection is not used again."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(413, b"no"))
        await writer.drain()
        await asyncio.sleep(0.05)

    async with scripted_peer(refuse) as peer, pool_to(peer.port) as pool:
        assert await ask(pool, bytes(1 << 24)) == b"no"
        assert not pool.open


async def test_an_answer_that_ends_with_its_connection():
    """Without a length it is whole when its peer closes."""

    async def until_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nthat was all")

    async with scripted_peer(until_the_end) as peer, pool_to(peer.port) as pool:
        assert await ask(pool) == b"that was all"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nContent-L", FramingError),
        (b"220 smtp\r\n", FramingError),
    ],
)
async def test_broken_peers(sent, error):
    """Half answers and other protocols end their connection and nothing else."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(sent)

    async with scripted_peer(play) as peer, pool_to(peer.port) as pool:
        with pytest.raises(error):
            await ask(pool)
        assert not pool.open
