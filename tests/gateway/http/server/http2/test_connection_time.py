"""The time limits of an HTTP/2 connection, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy
from gateway.http.server.http2.connection import Http2ServerConnection
from tests.fakes.body_source import streamed
from tests.fakes.http2_frames import (
    BEGIN,
    DATA,
    HEADERS,
    PING,
    POST,
    SETTINGS,
    block,
    frame,
    frames,
    headers,
    setting,
    window,
)
from tests.fakes.http2_wire import JSON, ScriptedApplication
from tests.fakes.virtual_connection import connected
from tests.fakes.virtual_time import virtual_time

STREAMED = BodyPolicy(1 << 20, is_stream=True)
PINGED = frame(PING, 0, 0, bytes(8))


async def now(_head: Any, _body: Any) -> Answer:
    return Answer(200, JSON, (b"hi",))


async def slow(_head: Any, _body: Any) -> Answer:
    await asyncio.sleep(1000)
    return Answer(200, JSON, (b"hi",))


@virtual_time
async def test_an_idle_connection_ends():
    """With a GOAWAY."""
    async with connected(Http2ServerConnection, ScriptedApplication(now), idle_timeout_s=60.0) as peer:
        peer.send(BEGIN + headers(1, POST))
        await asyncio.sleep(59)
        assert not peer.is_over
        await asyncio.sleep(2)

        assert peer.is_over
        assert frame(7, 0, 0, bytes(8))[:5] in peer.received


@virtual_time
async def test_a_long_answer_is_not_idleness():
    """Its connection stays, and has its idle time afterwards. The peer answers every ping."""
    application = ScriptedApplication(slow)
    async with connected(Http2ServerConnection, application, idle_timeout_s=60.0) as peer:
        peer.send(BEGIN + headers(1, POST))
        for _ in range(210):
            await asyncio.sleep(5)
            peer.send(frame(PING, 1, 0, bytes(8)))
        assert (b"hi" in peer.received, peer.is_over) == (True, False)
        await asyncio.sleep(61)

        assert peer.is_over


@pytest.mark.parametrize("is_half_a_head", [False, True])
@virtual_time
async def test_life_is_what_brings_requests(is_half_a_head: bool):
    """Neither pings nor a head that never ends keep a connection."""
    half = frame(HEADERS, 4, 1, block([*POST, (b"x", b"y" * 200)]))
    async with connected(Http2ServerConnection, ScriptedApplication(now), idle_timeout_s=60.0) as peer:
        peer.send(BEGIN)
        for number in range(65):
            await asyncio.sleep(1)
            peer.send(half[number : number + 1] if is_half_a_head else PINGED)

        assert peer.is_over


@virtual_time
async def test_a_head_that_never_ends_without_any_stream():
    """It has the time of a head, and not that of an idle connection."""
    half = frame(HEADERS, 0, 1, block([*POST, (b"x", b"y" * 200)]))
    async with connected(
        Http2ServerConnection, ScriptedApplication(now), request_headers_timeout_s=10.0
    ) as peer:
        peer.send(BEGIN)
        for number in range(9):
            await asyncio.sleep(1)
            peer.send(half[number : number + 1])
        assert not peer.is_over
        await asyncio.sleep(3)

        assert peer.is_over


@virtual_time
async def test_a_head_in_two_pieces_after_a_long_silence():
    """The time of a head begins with it."""
    application = ScriptedApplication(now)
    half = frame(HEADERS, 5, 1, block(POST))
    async with connected(Http2ServerConnection, application, request_headers_timeout_s=10.0) as peer:
        peer.send(BEGIN)
        await asyncio.sleep(30)
        for piece in (half[:12], half[12:]):
            peer.send(piece)
            await asyncio.sleep(8)

        assert (len(application.heads), peer.is_over) == (1, False)


@pytest.mark.parametrize("answers_pings", [True, False])
@virtual_time
async def test_a_silent_peer(answers_pings: bool):
    """Beside an open stream it is pinged; one that does not answer is cut."""
    application = ScriptedApplication(slow, STREAMED)
    async with connected(Http2ServerConnection, application, request_headers_timeout_s=10.0) as peer:
        peer.send(BEGIN + headers(1, POST, end=False))
        for _ in range(50):
            await asyncio.sleep(1)
            if answers_pings:
                peer.send(frame(PING, 1, 0, bytes(8)))

        assert peer.is_over is not answers_pings


@pytest.mark.parametrize("drips", [True, False])
@virtual_time
async def test_a_head_that_never_ends_beside_an_open_stream(drips: bool):
    """Open streams keep their connection, but nobody can answer a ping amid a head."""
    half = iter(frame(HEADERS, 0, 3, block([*POST, (b"x", b"y" * 2000)])))
    application = ScriptedApplication(slow, STREAMED)
    async with connected(Http2ServerConnection, application, request_headers_timeout_s=10.0) as peer:
        peer.send(BEGIN + headers(1, POST, end=False))
        peer.send(bytes(next(half) for _ in range(20)))
        for _ in range(30):
            await asyncio.sleep(1)
            if drips:
                peer.send(bytes((next(half),)))

        assert peer.is_over


@virtual_time
async def test_a_drain_waits_for_an_answer_that_the_peer_reads_slowly():
    """The answer is given, and only its bytes are not out: nobody would send them again."""
    size = 50_000

    async def large(_head: Any, _body: Any) -> Answer:
        return Answer(200, JSON, (bytes(size),))

    def received() -> int:
        return sum(len(each.payload) for each in frames(peer.received) if each.kind == DATA)

    async with connected(Http2ServerConnection, ScriptedApplication(large)) as peer:
        peer.send(BEGIN + frame(SETTINGS, 0, 0, setting(4, 1000)) + headers(1, POST))
        peer.drain()
        for _ in range(5):
            await asyncio.sleep(5)
            peer.send(frame(PING, 1, 0, bytes(8)))
        assert (received(), peer.is_over) == (1000, False)
        peer.send(window(1, size))
        await asyncio.sleep(2)

        assert (received(), peer.is_over) == (size, True)


@pytest.mark.parametrize("is_enough", [True, False])
@virtual_time
async def test_a_window_that_opens_slowly(is_enough: bool):
    """An answer may take its time, as long as enough of it goes out within each write timeout."""

    async def endless(_head: Any, _body: Any) -> AnyAnswer:
        async def parts() -> Any:
            while True:
                yield bytes(50_000)

        return streamed(parts())

    limits = {"write_timeout_s": 30.0, "min_body_bytes_per_s": 10_000}
    size = 100_000 if is_enough else 2_000
    async with connected(Http2ServerConnection, ScriptedApplication(endless), **limits) as peer:
        peer.send(BEGIN + headers(1, POST))
        for _ in range(20):
            await asyncio.sleep(5)
            peer.send(window(0, size) + window(1, size))

        assert (frame(3, 0, 1, b"\0\0\0\x08") not in peer.received) is is_enough
        assert not peer.is_over
