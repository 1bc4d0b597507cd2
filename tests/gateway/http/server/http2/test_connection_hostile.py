"""HTTP/2 connections whose peers are slow, greedy or rude: limits hold, others go on, the books are empty."""

from __future__ import annotations

import asyncio
from typing import Any

import ngh2
import pytest

from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy
from gateway.http.server import context as context_module
from tests.fakes.body_source import streamed
from tests.fakes.http2_frames import BEGIN, POST, data, frame, headers, window
from tests.fakes.http2_wire import JSON, until, wired
from tests.fakes.turns import turns

STREAMED = BodyPolicy(1 << 30, is_stream=True)
MIB = 1 << 20
CALM = ngh2.ErrorCode.ENHANCE_YOUR_CALM


async def echo(_head: Any, body: Any) -> Answer:
    return Answer(200, JSON, (bytes(body),))


async def large(_head: Any, _body: Any) -> Answer:
    return Answer(200, JSON, (bytes(MIB),))


async def endless(head: Any, _body: Any) -> AnyAnswer:
    async def parts() -> Any:
        while True:
            yield bytes(50_000)

    return streamed(parts()) if head.get("endless") else Answer(200, JSON, (b"hi",))


async def deaf(head: Any, body: Any) -> Answer:
    """Reads nothing for as long as the test likes."""
    await asyncio.sleep(99 if head.get("deaf") else 0)
    return Answer(200, JSON, (b"hi",))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits are noticed at once."""
    monkeypatch.setattr(context_module, "SWEEP_S", 0.02)


async def closed(reader: asyncio.StreamReader) -> bytes:
    """What was said until the end."""
    async with asyncio.timeout(30):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def test_streams_above_the_limit():
    """Refused as not processed, so that the client may send them elsewhere; the others are answered."""
    release = asyncio.Event()

    async def play(_head: Any, _body: Any) -> Answer:
        await release.wait()
        return Answer(200, JSON)

    async with wired(play, max_concurrent_streams=2) as it:
        async with it.raw() as (reader, writer):
            writer.write(BEGIN + b"".join(headers(stream) for stream in (1, 3, 5, 7)))
            await until(lambda: it.context.running)
            await turns()
            assert it.context.running == 2
            release.set()
            await it.released()
            received = await reader.read(1 << 16)
            for stream in (5, 7):
                assert frame(3, 0, stream, b"\0\0\0\7") in received
            writer.transport.abort()


@pytest.mark.parametrize("noted", [True, False], ids=["announced", "unannounced"])
async def test_body_above_the_limit(noted: bool):
    async with wired(echo, BodyPolicy(1000)) as it, it.client() as client:
        length = [(b"content-length", b"200000")] if noted else []
        status, received = await client.whole(bytes(200_000), length)
        assert (status, received) == (413, b"the body is larger than 1000 bytes")
        assert it.context.address_limits.buffered == 0
        assert await client.whole(b"x") == (200, b"x")


async def test_refusals_do_not_use_up_the_window():
    """The rest of each refused body is read and given back: the last of many is told why, too."""
    async with wired(echo, BodyPolicy(10), initial_connection_window_kib=64) as it, it.client() as client:
        for _ in range(20):
            assert (await client.whole(bytes(30_000)))[0] == 413


async def test_refusal_waits_for_the_window_of_its_reader():
    """A reset right behind the answer's head would take its body along."""

    def opening(_head: Any) -> Answer:
        return Answer(403, JSON, (b"no" * 1000,))

    async with wired(echo, opening) as it, it.client(1000) as client:
        assert await client.whole(b"x", end=False) == (403, b"no" * 1000)
        assert client.code(1) == 0


async def test_too_many_bodies_in_all():
    async with wired(echo, max_buffered_mib=1) as it, it.client() as client:
        first = client.ask(bytes(900_000), end=False)
        await until(lambda: it.context.address_limits.buffered == 900_000)
        assert (await client.whole(bytes(300_000)))[0] == 503
        assert it.context.address_limits.buffered == 900_000
        client.http2.end_stream(first)
        client.flush()
        await until(lambda: client.ended(first))
        assert client.status(first) == 200


async def test_the_window_stays_closed_while_an_address_holds_much():
    """What is being answered makes room, so the rest is paced and not refused; all of it is answered."""
    gate = asyncio.Event()

    async def later(_head: Any, body: Any) -> Answer:
        await gate.wait()
        return Answer(200, JSON, (b"%d" % len(body),))

    limits = {"initial_stream_window_kib": 64, "initial_connection_window_kib": 64}
    limits |= {"max_buffered_percent_per_address": 50, "max_buffered_percent_of_strangers": 50}
    async with wired(later, max_buffered_mib=1, **limits) as it, it.client() as client:
        streams = [client.ask(bytes(100_000)) for _ in range(20)]
        await until(lambda: it.context.address_limits.held > 256 << 10)
        await turns()
        assert it.context.address_limits.held < 512 << 10
        gate.set()
        await until(lambda: all(map(client.ended, streams)))
        assert {client.status(stream) for stream in streams} == {200}


async def test_streamed_bodies_count_among_all_bodies():
    async with wired(deaf, STREAMED, max_buffered_mib=1) as it, it.client() as client:
        streams = [client.ask(bytes(700_000), [(b"deaf", b"1")], end=False) for _ in range(2)]
        await until(lambda: any(map(client.ended, streams)))
        (cut,) = [stream for stream in streams if client.ended(stream)]
        assert client.code(cut) == CALM
        assert it.context.address_limits.buffered <= MIB


async def test_streamed_body_above_its_limit():
    async with wired(deaf, BodyPolicy(1000, is_stream=True)) as it, it.client() as client:
        stream = client.ask(bytes(2000), [(b"deaf", b"1")], end=False)
        await until(lambda: client.ended(stream))
        assert client.code(stream) == CALM


async def test_head_above_the_limit():
    """It is refused; its connection, which others may share, lives."""
    async with wired(echo, max_request_headers_kb=1, max_headers_count=10) as it, it.client() as client:
        for more in ([(b"x", b"y" * 1500)], [(b"x%d" % number, b"y") for number in range(10)]):
            assert (await client.whole(b"x", more))[0] == 431
            assert (await client.whole(b"x", more, end=False))[0] == 431
        assert await client.whole(b"x") == (200, b"x")


async def test_a_reader_that_does_not_read_keeps_the_window_closed():
    """And what it holds is given back when it is gone: the next body comes whole."""
    limits = {"initial_stream_window_kib": 64, "initial_connection_window_kib": 100}
    async with wired(deaf, STREAMED, **limits) as it, it.client() as client:
        for _ in range(5):
            stream = client.ask(bytes(MIB), [(b"deaf", b"1")])
            await until(lambda: it.context.address_limits.buffered)
            await asyncio.sleep(0.02)
            assert it.context.address_limits.buffered == 64 << 10
            client.http2.reset_stream(stream)
            client.flush()
            await it.released()


async def test_an_early_answer_gives_back_what_was_not_read():
    """The rest is not waited for: the stream ends without error behind its answer."""

    async def play(_head: Any, body: Any) -> Answer:
        async for part in body:
            return Answer(200, JSON, (b"%d" % min(1, len(part)),))
        return Answer(200, JSON)

    limits = {"initial_stream_window_kib": 64, "initial_connection_window_kib": 64}
    async with wired(play, STREAMED, **limits) as it, it.client() as client:
        for _ in range(20):
            assert await client.whole(bytes(60_000), end=False) == (200, b"1")
            await it.released()


@pytest.mark.parametrize("ask", ["whole", "endless"])
async def test_a_window_that_stays_closed(ask: str):
    """Its stream ends at the write timeout; a stream that takes what it asked for is not harmed."""

    async def play(head: Any, body: Any) -> Answer:
        return await (endless(head, body) if ask == "endless" else large(head, body))

    async with wired(play, write_timeout_s=0.2) as it:
        async with it.raw() as (reader, writer):
            writer.write(BEGIN + headers(1, [*POST, (b"endless", b"1")]))
            writer.write(window(0, 1 << 24))
            received = b""
            async with asyncio.timeout(30):
                while frame(3, 0, 1, b"\0\0\0\x08") not in received:
                    received += await reader.read(1 << 16)
            await it.released()
            assert len(it.context.registry) == 1
            writer.write(headers(3, [*POST]) + window(3, 1 << 24))
            async with asyncio.timeout(30):
                while frame(0, 1, 3)[3:] not in received:
                    received += await reader.read(1 << 18)
            writer.transport.abort()


async def test_a_peer_that_reads_nothing():
    """Its answers fill the socket, then the engine; then it is cut off."""
    async with wired(endless, write_timeout_s=0.3) as it:
        async with it.client(1 << 30, reads=False) as client:
            client.ask(headers=[(b"endless", b"1")])
            await until(lambda: it.context.running)
            connection = await it.connected()
            await until(lambda: connection.writer.is_paused)
            assert connection.writer.queued < MIB
            await until(lambda: not it.context.registry)
            await it.released()


async def test_a_connection_that_is_closed_and_not_read():
    """Nobody else would ever end it."""
    async with wired(large, write_timeout_s=0.3) as it, it.client(1 << 30, reads=False) as client:
        for _ in range(8):
            client.ask()
        connection = await it.connected()
        await until(lambda: connection.writer.is_paused)
        client.writer.write(b"\xff" * 100)  # no frame
        await until(connection.transport.is_closing)
        await until(lambda: not it.context.registry)


async def test_body_that_comes_too_slowly():
    async with wired(echo, body_timeout_s=0.1) as it, it.client() as client:
        stream = client.ask(b"x", end=False)
        await until(lambda: client.ended(stream))
        assert client.status(stream) == 408
        assert it.context.address_limits.buffered == 0


async def test_preface_that_does_not_end():
    async with wired(echo, request_headers_timeout_s=0.1) as it:
        async with it.raw() as (reader, writer):
            writer.write(BEGIN[:-1])
            await closed(reader)
            writer.transport.abort()


async def test_body_in_single_bytes_takes_no_more_than_its_size():
    """Each would be an object of its own."""
    async with wired(echo) as it:
        async with it.raw() as (_, writer):
            writer.write(BEGIN + headers(1, end=False))
            connection = await it.connected()
            writer.write(data(1, b"xy") * 20_000)
            await until(lambda: it.context.address_limits.buffered == 40_000)
            (stream,) = connection.requests
            assert stream.parts < 10
            assert bytes(stream.whole()) == b"xy" * 20_000
            writer.transport.abort()


async def test_nothing_raw_comes_back():
    async with wired(echo) as it:
        for piece in (
            b"\0\0\5\xee\0\0\0\0\0EVIL!" * 3 + data(0, b"EVIL!"),
            headers(1, [*POST, (b"EVIL", b"EVIL!")]),
        ):
            async with it.raw() as (reader, writer):
                writer.write(BEGIN + piece)
                async with asyncio.timeout(30):
                    assert b"EVIL" not in await reader.read(1 << 16)
                writer.transport.abort()
