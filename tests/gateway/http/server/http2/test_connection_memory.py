"""HTTP/2 clients that want memory without paying for it: slow bodies, idle streams, heads, unread answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy, Head
from gateway.http.server.ended_peers import Ending
from gateway.http.server.http2.connection import Http2ServerConnection
from tests.fakes.body_source import streamed
from tests.fakes.http2_frames import (
    BEGIN,
    DATA,
    HEADERS,
    POST,
    RST_STREAM,
    SETTINGS,
    data,
    frame,
    frames,
    headers,
    literal,
    setting,
)
from tests.fakes.http2_wire import JSON, ScriptedApplication, until, wired
from tests.fakes.virtual_connection import Peer, connected
from tests.fakes.virtual_time import virtual_time

KIB, MIB = 1 << 10, 1 << 20
STREAMED = BodyPolicy(1 << 62, is_stream=True)
RATE = {"body_timeout_s": 2.0, "min_body_bytes_per_s": 1000, "request_timeout_s": 20.0}
IDLE = {"stream_idle_timeout_s": 60.0, "request_headers_timeout_s": 80_000.0}
CALM, CANCELLED = 11, 8


class TrailedApplication(ScriptedApplication):
    """Its refusals are trailers, as gRPC's are."""

    def refuse(self, _head: Head | None, status: int, message: str) -> Answer:
        return Answer(200, JSON, (), (), ((b"status", b"%d" % status), (b"message", message.encode())))


async def echo(_head: Any, body: Any) -> Answer:
    return Answer(200, JSON, (bytes(body),))


async def converse(_head: Any, body: Any) -> AnyAnswer:
    """Answer each part as it comes, and wait for the next for ever."""

    async def parts() -> Any:
        async for part in body:
            body.consumed(len(part))
            yield bytes(part)

    return streamed(parts())


async def listen(_head: Any, body: Any) -> Answer:
    """Read to the end before the answer begins; every part belongs to a message that is not whole."""
    size = 0
    async for part in body:
        size += len(part)
        body.within(size)
    return Answer(200, JSON)


def resets(peer: Peer, stream: int) -> list[int]:
    return [each.code for each in frames(peer.received) if (each.kind, each.stream) == (RST_STREAM, stream)]


def heads(peer: Peer, stream: int) -> list[bytes]:
    return [each.payload for each in frames(peer.received) if (each.kind, each.stream) == (HEADERS, stream)]


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["nothing more", "a byte a second"])
@virtual_time
async def test_all_but_the_end_at_once(drip: bytes):
    """Whole bodies are 408 and streamed ones reset, after the window, however much came before it."""

    def opening(head: Head) -> BodyPolicy:
        return BodyPolicy(MIB, is_stream=head.get("x") == "stream")

    application = ScriptedApplication(
        lambda head, body: (listen if head.get("x") else echo)(head, body), opening
    )
    async with connected(Http2ServerConnection, application, **RATE) as peer:
        more = literal(b"x", b"stream")
        peer.send(BEGIN + frame(SETTINGS, 1) + headers(1, end=False) + headers(3, end=False, more=more))
        for stream in (1, 3):
            for _ in range(12):
                peer.send(data(stream, bytes(16_000)))
        for _ in range(12):
            await asyncio.sleep(0.5)
            if drip and not (resets(peer, 1) or resets(peer, 3)):
                peer.send(data(1, drip) + data(3, drip))

        assert b"408" in b"".join(heads(peer, 1))
        assert resets(peer, 3) == [CALM]
        assert not peer.is_over


@virtual_time
async def test_fast_enough_and_too_long():
    """The deadline ends what no rate does."""
    async with connected(Http2ServerConnection, ScriptedApplication(echo), **RATE) as peer:
        peer.send(BEGIN + headers(1, end=False))
        for second in range(21):
            assert not heads(peer, 1), second
            await asyncio.sleep(1)
            peer.send(data(1, bytes(2000)))

        assert b"408" in b"".join(heads(peer, 1))


@virtual_time
async def test_a_stream_that_rests_between_messages_is_not_late():
    """Only messages that have begun have to come."""
    async with connected(Http2ServerConnection, ScriptedApplication(converse, STREAMED), **RATE) as peer:
        peer.send(BEGIN + headers(1, end=False))
        for _ in range(3):
            await asyncio.sleep(50)
            peer.send(data(1, b"message"))
        await asyncio.sleep(1)
        assert not resets(peer, 1)


@pytest.mark.parametrize("is_trailed", [True, False])
@virtual_time
async def test_an_idle_stream_whose_answer_has_begun(is_trailed: bool):
    """It ends with the status of that, where the application has one in trailers; else it is reset."""
    kind = TrailedApplication if is_trailed else ScriptedApplication
    async with connected(Http2ServerConnection, kind(converse, STREAMED), **IDLE) as peer:
        peer.send(BEGIN + headers(1, end=False))
        for _ in range(3):
            await asyncio.sleep(50)
            peer.send(data(1, b"message"))
        await asyncio.sleep(59)
        assert not resets(peer, 1)
        await asyncio.sleep(2)

        received = b"".join(heads(peer, 1))
        assert (b"408" in received) is is_trailed
        assert resets(peer, 1) == [0 if is_trailed else CANCELLED]
        assert not peer.is_over


@virtual_time
async def test_an_idle_stream_without_an_answer():
    """It gets the refusal as its answer."""
    async with connected(Http2ServerConnection, ScriptedApplication(listen, STREAMED), **IDLE) as peer:
        peer.send(BEGIN + headers(1, end=False))
        await asyncio.sleep(62)
        assert b"408" in b"".join(heads(peer, 1))
        assert any(
            each.kind == DATA and b"nothing was sent" in each.payload for each in frames(peer.received)
        )


@virtual_time
async def test_empty_frames_and_pings_do_not_keep_a_stream():
    """Nor does a body that has ended, of an answer that never comes to its end."""
    async with connected(Http2ServerConnection, TrailedApplication(converse, STREAMED), **IDLE) as peer:
        peer.send(BEGIN + headers(1, end=False))
        for _ in range(7):
            await asyncio.sleep(10)
            peer.send(data(1, b"") + b"\0\0\x08\x06\0\0\0\0\0" + bytes(8))
        assert b"408" in b"".join(heads(peer, 1))


@virtual_time
async def test_an_answer_that_goes_on_keeps_its_stream():
    """Though its client says nothing."""

    async def ticks(_head: Any, _body: Any) -> AnyAnswer:
        async def parts() -> Any:
            while True:
                await asyncio.sleep(50)
                yield b"tick"

        return streamed(parts())

    async with connected(Http2ServerConnection, ScriptedApplication(ticks, STREAMED), **IDLE) as peer:
        peer.send(BEGIN + headers(1))
        await asyncio.sleep(500)
        assert not resets(peer, 1)


@pytest.mark.parametrize("size", [0, 3900 * 14], ids=["idle", "heads"])
async def test_streams_take_of_their_addresss_share(size: int):
    """What they and their heads need; beyond it they are refused, before the application has them."""
    answered = 0

    async def count(head: Any, body: Any) -> AnyAnswer:
        nonlocal answered
        answered += 1
        return await converse(head, body)

    async with wired(count, STREAMED, max_buffered_mib=4) as it, it.client() as client:
        more = [(b"x-a", b"v" * 3900)] * (size // 3900)
        streams = [client.ask(b"", more, end=False) for _ in range(90)]
        await until(lambda: len(it.application.heads) == 90)
        await until(lambda: answered + it.context.ended.totals[Ending.NO_ROOM] == 90)
        least = 4 * KIB + size
        assert 0 < answered <= MIB // least
        assert answered * least <= it.context.address_limits.overhead <= MIB
        await until(lambda: sum(map(client.ended, streams)) == 90 - answered)
        assert {client.status(stream) for stream in streams if client.ended(stream)} == {503}
        for stream in streams:
            if not client.ended(stream):
                client.http2.reset_stream(stream)
        client.flush()
        await it.released()


async def test_requests_whose_body_never_comes_take_of_the_share():
    """Many heads, and not a byte behind them."""
    async with wired(echo, BodyPolicy(KIB), max_buffered_mib=4) as it, it.client() as client:
        for _ in range(90):
            client.ask(b"", [(b"x-a", b"v" * 20_000)], end=False)
        await until(lambda: it.context.ended.totals[Ending.NO_ROOM] > 20)
        assert it.context.address_limits.overhead <= MIB + 100 * 25 * KIB


async def test_large_bodies_on_their_way_yield_to_who_has_less():
    """Two tenants have all of the room; a third is served, and the body that stands still longest is 408."""

    def opening(head: Head) -> BodyPolicy:
        return BodyPolicy(MIB, holder=head.get("holder"))

    limits = {"max_buffered_percent_per_tenant": 50, "max_buffered_percent_per_address": 100}
    async with wired(echo, opening, max_buffered_mib=1, **limits) as it, it.client() as client:
        held = []
        for number in range(4):
            name = b"ab"[number % 2 : number % 2 + 1]
            held.append(client.ask(bytes(240 * KIB), [(b"holder", name)], end=False))
            await until(lambda number=number: it.context.address_limits.buffered == (number + 1) * 240 * KIB)
        assert (await client.whole(bytes(100_000), [(b"holder", b"victim")]))[0] == 200
        await until(lambda: client.ended(held[0]))
        assert client.status(held[0]) == 408
        assert it.context.ended.totals[Ending.GIVEN_UP] == 1
        for stream in held[1:]:
            client.http2.end_stream(stream)
        client.flush()
        await until(lambda: all(map(client.ended, held)))
        assert [client.status(stream) for stream in held[1:]] == [200, 200, 200]


@virtual_time
async def test_answers_behind_a_window_that_stays_closed():
    """They are booked, and those for which there is no room are reset at once; the others when they are stuck."""

    async def large(_head: Any, _body: Any) -> Answer:
        return Answer(200, JSON, (bytes(700 * KIB),))

    limits = {"max_buffered_mib": 16, "max_buffered_percent_of_strangers": 100, "write_timeout_s": 30.0}
    limits["request_headers_timeout_s"] = 1000.0
    async with connected(Http2ServerConnection, ScriptedApplication(large), **limits) as peer:
        peer.send(BEGIN + frame(SETTINGS, 0, 0, setting(4, 0)))
        for stream in range(1, 41, 2):
            peer.send(headers(stream))
        answered = [stream for stream in range(1, 41, 2) if not resets(peer, stream)]
        refused = [stream for stream in answered if any(b"503" in head for head in heads(peer, stream))]
        assert len(answered) - len(refused) == 4 * MIB // (700 * KIB)
        assert peer.booked <= 5 * MIB
        await asyncio.sleep(32)
        assert peer.booked == 0
        assert not peer.is_over


@virtual_time
async def test_a_peer_that_reads_just_enough_to_be_sent_more():
    """To let out some of a streamed answer, so that it grows, is no progress: the least rate counts."""

    async def endless(_head: Any, _body: Any) -> AnyAnswer:
        async def parts() -> Any:
            while True:
                yield bytes(50_000)

        return streamed(parts())

    limits = {"write_timeout_s": 30.0, "min_body_bytes_per_s": 10_000}
    async with connected(Http2ServerConnection, ScriptedApplication(endless), **limits) as peer:
        peer.send(BEGIN + headers(1, POST))
        for _ in range(16):
            # More than one part in each timeout, and a fifth of the least.
            await asyncio.sleep(5)
            peer.send(
                b"\0\0\x04\x08\0\0\0\0\0"
                + (10_000).to_bytes(4, "big")
                + b"\0\0\x04\x08\0\0\0\0\x01"
                + (10_000).to_bytes(4, "big")
            )
        assert resets(peer, 1) == [CANCELLED]
        assert peer.booked == 0
