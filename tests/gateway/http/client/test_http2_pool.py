"""The HTTP/2 connections to one endpoint, before peers that do well and peers that do not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import ngh2
import pytest

from gateway.http.client.backoff import Backoff
from gateway.http.client.dialer import UnreachableError
from gateway.http.client.evidence import Evidence
from gateway.http.client.http2_connection import (
    LateError,
    Limits,
    LostError,
    NotProcessedError,
    ResetError,
)
from gateway.http.client.http2_pool import Http2Pool
from gateway.http.framing.errors import AnswerTooLargeError
from gateway.http.framing.http2_client import Http2Client
from gateway.upstreams.checks import dialer_of
from gateway.upstreams.settings import ConnectSettings
from tests.fakes.http2_peer import Call, framed, http2_peer
from tests.fakes.redis_server import free_port
from tests.fakes.upstreams import until

ASK = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"far")]
STREAMS = ngh2.Setting.MAX_CONCURRENT_STREAMS
WINDOW = ngh2.Setting.INITIAL_WINDOW_SIZE


@asynccontextmanager
async def pool_to(port: int, **options: Any) -> AsyncIterator[Http2Pool]:
    limits = Limits(
        streams=options.pop("streams", 1000),
        keepalive_s=options.pop("keepalive_s", 10.0),
        keepalive_timeout_s=options.pop("keepalive_timeout_s", 5.0),
    )
    pool = Http2Pool(
        dialer_of("127.0.0.1", port, ConnectSettings(connect_timeout_s=1), None),
        options.pop("backoff", None) or Backoff(0.001, 0.002, Random(1)),
        partial(
            Http2Client,
            stream_window_bytes=1 << 20,
            connection_window_bytes=1 << 22,
            max_header_bytes=4096,
            max_body_bytes=options.pop("max_body_bytes", 1 << 24),
        ),
        limits,
        **{
            "evidence_of": lambda _answer: Evidence.WORKS,
            "connections": 1,
            "settings_timeout_s": 1.0,
            "idle_s": 60.0,
            **options,
        },
    )
    try:
        yield pool
    finally:
        await pool.aclose()


async def ask(pool: Http2Pool, body: bytes = b"hi", within_s: float = math.inf) -> bytes:
    ends = asyncio.get_running_loop().time() + within_s
    return (await pool.call(ASK, (framed(body),), ends)).body


def echo(call: Call) -> None:
    call.answer(call.body[5:])


def never(_call: Call) -> None:
    """Say nothing."""


class Held:
    """Keeps calls until they are let go."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.most = 0

    def __call__(self, call: Call) -> None:
        self.calls.append(call)
        self.most = max(self.most, len(self.calls))

    def let_go(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            echo(call)


async def test_many_calls_on_one_connection():
    """Each gets its own answer."""
    async with http2_peer(echo) as peer, pool_to(peer.port) as pool:
        answers = await asyncio.gather(*(ask(pool, b"%d" % number) for number in range(200)))

        assert repr(pool) == "<Http2Pool 1 open, 0 leaving, 0 running, 0 waiting>"
        assert repr(pool.open[0]) == "<Http2ClientConnection open, 0 running>"

    assert answers == [framed(b"%d" % number) for number in range(200)]
    assert len(peer.connections) == 1


@pytest.mark.parametrize(("peers", "own"), [(3, 1000), (1000, 3)])
async def test_never_more_streams_than_either_side_allows(peers, own):
    """Calls beyond them wait in order."""
    held = Held()
    async with http2_peer(held, {STREAMS: peers}) as peer, pool_to(peer.port, streams=own) as pool:
        calls = [asyncio.ensure_future(ask(pool, b"%d" % number)) for number in range(10)]
        for _ in range(4):
            await until(lambda: held.calls)
            await asyncio.sleep(0.005)
            held.let_go()
        await asyncio.gather(*calls)

    assert held.most == 3
    assert [call.body[5:] for call in peer.calls] == [b"%d" % number for number in range(10)]


async def test_more_connections_while_streams_are_taken():
    """As many as agreed, one after another."""
    held = Held()
    async with http2_peer(held, {STREAMS: 2}) as peer, pool_to(peer.port, connections=3) as pool:
        calls = [asyncio.ensure_future(ask(pool)) for _ in range(7)]
        await until(lambda: len(held.calls) == 6)
        assert repr(pool) == "<Http2Pool 3 open, 0 leaving, 6 running, 1 waiting>"
        held.let_go()
        await until(lambda: held.calls)
        held.let_go()
        await asyncio.gather(*calls)

    assert len(peer.connections) == 3


async def test_streams_that_the_peer_allows_later():
    """A peer may begin with none, and change its mind."""
    async with http2_peer(echo, {STREAMS: 0}) as peer, pool_to(peer.port) as pool:
        call = asyncio.ensure_future(ask(pool))
        await until(lambda: peer.connections and pool.open)
        connection = peer.connections[0]
        connection.http2.update_settings({STREAMS: 1, WINDOW: 1})
        connection.flush()

        assert await call == framed(b"hi")


@pytest.mark.parametrize("window", [1, 100, 65535])
async def test_tiny_windows(window):
    """Large messages pass in both directions, however small the pieces."""
    body = bytes(range(256)) * (4 if window == 1 else 4096)
    async with http2_peer(echo, {WINDOW: window}) as peer, pool_to(peer.port) as pool:
        assert await ask(pool, body) == framed(body)


@pytest.mark.parametrize("frame_bytes", [16384, 1 << 20, (1 << 24) - 1])
async def test_large_frames(frame_bytes):
    """A peer that takes large frames and windows gets all of a large message, too."""
    body = bytes(range(256)) * 40_000
    settings = {ngh2.Setting.MAX_FRAME_SIZE: frame_bytes, WINDOW: 1 << 24}
    async with http2_peer(echo, settings) as peer, pool_to(peer.port) as pool:
        assert await ask(pool, body) == framed(body)


async def test_who_leaves_takes_only_its_own_stream():
    """It is reset with CANCEL; others, waiting ones too, go on over the same connection."""
    held = Held()
    async with http2_peer(held, {STREAMS: 2}) as peer, pool_to(peer.port) as pool:
        calls = [asyncio.ensure_future(ask(pool)) for _ in range(5)]
        await until(lambda: len(held.calls) == 2)
        calls[0].cancel()
        calls[3].cancel()
        await until(lambda: len(held.calls) == 3)
        assert peer.connections[0].resets == [(held.calls[0].stream, 8)]
        del held.calls[0]
        held.let_go()
        await until(lambda: held.calls)
        held.let_go()
        ended = await asyncio.gather(*calls, return_exceptions=True)

        assert repr(pool) == "<Http2Pool 1 open, 0 leaving, 0 running, 0 waiting>"

    assert [type(end) for end in ended].count(asyncio.CancelledError) == 2
    assert ended.count(framed(b"hi")) == 3


async def test_leaving_in_the_moment_that_a_place_is_free():
    """The next in the queue gets it."""
    async with http2_peer(echo, {STREAMS: 1}) as peer, pool_to(peer.port) as pool:

        async def first() -> None:
            await ask(pool)
            # By now the second call has been given the place, and has not yet seen it.
            second.cancel()

        running = asyncio.ensure_future(first())
        second = asyncio.ensure_future(ask(pool))
        third = asyncio.ensure_future(ask(pool))
        await running
        assert await third == framed(b"hi")
        with pytest.raises(asyncio.CancelledError):
            await second

        assert pool.open[0].promised == 0
    assert len(peer.calls) == 2


async def test_late_calls_end_on_both_sides():
    """A call ends with its own time, under way or waiting for a stream."""
    async with http2_peer(never, {STREAMS: 1}) as peer, pool_to(peer.port) as pool:
        ended = await asyncio.gather(
            ask(pool, within_s=0.1), ask(pool, within_s=0.02), return_exceptions=True
        )
        await until(lambda: peer.connections[0].resets)

        assert [type(end) for end in ended] == [LateError, LateError]
        assert peer.connections[0].resets == [(1, 8)]


async def test_a_peer_that_goes_away():
    """Streams above the last are made again on a new connection; the others end where they are."""
    held = Held()
    async with http2_peer(held) as peer, pool_to(peer.port) as pool:
        calls = [asyncio.ensure_future(ask(pool, b"%d" % number)) for number in range(3)]
        await until(lambda: len(held.calls) == 3)
        first = held.calls.pop(0)
        held.calls.clear()
        peer.connections[0].go_away(first.stream)
        await until(lambda: len(held.calls) == 2)
        assert (len(pool.open), pool.leaving, pool.running) == (1, 1, 3)
        held.let_go()
        echo(first)

        assert await asyncio.gather(*calls) == [framed(b"%d" % number) for number in range(3)]
        await until(lambda: not pool.leaving)
        await until(lambda: peer.connections[0].is_lost)
    assert [call.connection for call in peer.calls[3:]] == [peer.connections[1]] * 2


async def test_a_call_is_not_repeated_for_ever():
    """Who refuses twice is believed."""
    async with http2_peer(lambda call: call.reset(7)) as peer, pool_to(peer.port) as pool:
        with pytest.raises(NotProcessedError):
            await ask(pool)

    assert len(peer.calls) == 2


async def test_a_reset_is_not_repeated():
    """Whether something was done is not known."""
    async with http2_peer(lambda call: call.reset(2)) as peer, pool_to(peer.port) as pool:
        with pytest.raises(ResetError, match="code 2"):
            await ask(pool)

    assert len(peer.calls) == 1


async def test_an_answer_that_is_too_large():
    """Its stream ends, and nothing else."""
    async with http2_peer(echo) as peer, pool_to(peer.port, max_body_bytes=1000) as pool:
        with pytest.raises(AnswerTooLargeError):
            await ask(pool, bytes(2000))
        assert await ask(pool) == framed(b"hi")

    assert len(peer.connections) == 1


async def test_a_connection_that_ends_under_calls():
    """They fail, and the next call has a new connection."""
    async with http2_peer(never) as peer, pool_to(peer.port) as pool:
        calls = [asyncio.ensure_future(ask(pool)) for _ in range(3)]
        await until(lambda: len(peer.calls) == 3)
        peer.connections[0].transport.abort()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(end) for end in ended] == [LostError] * 3
        peer.play = echo

        assert await ask(pool) == framed(b"hi")


@pytest.mark.parametrize(
    "greeting",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 200, b"\xff" * 200, b"220 smtp\r\n"],
    ids=["silent", "HTTP/1.1", "zeros", "ones", "smtp"],
)
async def test_peers_that_speak_no_http2(greeting):
    """Nobody waits for them for longer than agreed; calls meanwhile share the one attempt."""
    async with (
        http2_peer(echo, greeting=greeting) as peer,
        pool_to(peer.port, settings_timeout_s=0.05) as pool,
    ):
        async with asyncio.timeout(30):
            ended = await asyncio.gather(*(ask(pool) for _ in range(5)), return_exceptions=True)

        assert {type(end) for end in ended} == {UnreachableError}
        await until(lambda: all(connection.is_lost for connection in peer.connections))
    assert len(peer.connections) == 1


async def test_noise_in_the_middle():
    """It ends the connection and its calls."""

    def noise(call: Call) -> None:
        call.connection.transport.write(b"\xff" * 100)
        call.connection.deaf = True

    async with http2_peer(noise) as peer, pool_to(peer.port) as pool:
        with pytest.raises(LostError):
            await ask(pool, within_s=5)
        assert not pool.open


async def test_huge_heads():
    """They end the connection."""
    huge = [(b":status", b"200"), (b"x", b"a" * 9000)]
    async with http2_peer(lambda call: call.answer(headers=huge)) as peer, pool_to(peer.port) as pool:
        with pytest.raises(Exception, match="header list"):
            await ask(pool)


async def test_a_peer_that_is_gone_without_a_word():
    """Pings find it while calls run."""

    def deafen(call: Call) -> None:
        call.connection.deaf = True

    async with (
        http2_peer(deafen) as peer,
        pool_to(peer.port, keepalive_s=0.1, keepalive_timeout_s=0.1) as pool,
    ):
        async with asyncio.timeout(30):
            with pytest.raises(LostError, match="timeout"):
                await ask(pool)


async def test_a_peer_that_is_pinged_too_often_says_so():
    """Then the next connections are pinged half as often."""

    def complain(call: Call) -> None:
        call.answer()
        call.connection.go_away(call.stream, 11)

    async with http2_peer(complain) as peer, pool_to(peer.port, keepalive_s=10.0) as pool:
        await ask(pool)
        await until(lambda: not pool.open)

        assert pool.limits.keepalive_s == 20.0


async def test_idle_connections_are_closed_with_a_word():
    """A connection in use is not idle."""
    held = Held()
    async with http2_peer(held, {STREAMS: 1}) as peer, pool_to(peer.port, connections=2, idle_s=0.05) as pool:
        calls = [asyncio.ensure_future(ask(pool)) for _ in range(2)]
        await until(lambda: len(held.calls) == 2)
        echo(held.calls.pop(0))
        await until(lambda: (len(pool.open), pool.leaving, pool.running) == (1, 0, 1))
        held.let_go()
        await asyncio.gather(*calls)

        await until(lambda: not pool.open)
        await until(lambda: all(connection.is_lost for connection in peer.connections))


async def test_nobody_there():
    """Calls fail at once, together, and soon find a server that is back."""
    port = free_port()
    backoff = Backoff(60.0, 60.0, Random(1))
    async with pool_to(port, backoff=backoff) as pool:
        ended = await asyncio.gather(*(ask(pool) for _ in range(10)), return_exceptions=True)
        assert {type(end) for end in ended} == {UnreachableError}
        assert backoff.failures == 1
        with pytest.raises(UnreachableError):
            await ask(pool)
        assert backoff.failures == 1

        backoff.until = 0.0
        async with http2_peer(echo, port=port):
            assert await ask(pool) == framed(b"hi")
            assert backoff.failures == 0
            await pool.aclose()


async def test_closing_with_grace():
    """Calls under way may end; new ones are not taken."""
    held = Held()
    async with http2_peer(held) as peer, pool_to(peer.port) as pool:
        call = asyncio.ensure_future(ask(pool))
        await until(lambda: held.calls)
        closing = asyncio.ensure_future(pool.aclose(5.0))
        await asyncio.sleep(0.01)
        assert not closing.done()
        held.let_go()

        assert await call == framed(b"hi")
        async with asyncio.timeout(30):
            await closing


async def test_closing_without_grace():
    """Calls under way and waiting fail; so do later ones."""
    async with http2_peer(never, {STREAMS: 1}) as peer, pool_to(peer.port) as pool:
        calls = [asyncio.ensure_future(ask(pool)) for _ in range(2)]
        await until(lambda: peer.calls)
        await pool.aclose()
        ended = await asyncio.gather(*calls, return_exceptions=True)
        with pytest.raises(UnreachableError):
            await ask(pool)

        assert [type(end) for end in ended] == [LostError, UnreachableError]
        await until(lambda: peer.connections[0].is_lost)


async def test_closing_while_connecting():
    """A connection on its way is given up."""
    async with http2_peer(echo, greeting=b"") as peer, pool_to(peer.port) as pool:
        call = asyncio.ensure_future(ask(pool))
        await until(lambda: peer.connections)
        await pool.aclose()

        with pytest.raises(UnreachableError):
            await call
        await until(lambda: peer.connections[0].is_lost)
