"""HTTP/2 connections over real sockets: what is asked is answered, and the books are empty afterwards."""

from __future__ import annotations

import asyncio
import random
from contextvars import ContextVar
from typing import Any

import ngh2
import pytest

from gateway.core.eager import begin
from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy, Fields
from gateway.http.server import turn_queue
from gateway.http.server.http2 import requests
from tests.fakes.body_source import parts_of, streamed
from tests.fakes.http2_frames import BEGIN, headers
from tests.fakes.http2_wire import JSON, until, wired

STREAMED = BodyPolicy(1 << 30, is_stream=True)
OK = ((b"grpc-status", b"0"),)
MIB = 1 << 20


async def echo(_head: Any, body: Any) -> Answer:
    return Answer(200, JSON, (bytes(body),))


async def later(_head: Any, body: Any) -> Answer:
    await asyncio.sleep(0.01)
    return Answer(200, JSON, (bytes(body),))


@pytest.mark.parametrize("play", [echo, later])
async def test_whole_requests(play: Any):
    async with wired(play) as it, it.client() as client:
        for body in (b"", b"x", bytes(300_000)):
            assert await client.whole(body) == (200, body)
        assert it.application.heads[0].get("host") == "far"


async def test_what_every_answer_says():
    """Date and server, but not with bare fields, whether the answer is whole or streamed."""
    bare = Fields(*JSON.pairs, is_bare=True)

    async def play(head: Any, _body: Any) -> AnyAnswer:
        if head.get("stream"):
            return streamed(parts_of(b"hi"), OK, bare)
        return Answer(200, bare, (b"hi",), trailers=OK) if head.get("call") else Answer(200, JSON, (b"hi",))

    async with wired(play) as it, it.client() as client:
        plain, *calls = (
            client.ask(),
            client.ask(headers=[(b"call", b"1")]),
            client.ask(headers=[(b"stream", b"1")]),
        )
        await until(lambda: all(map(client.ended, (plain, *calls))))
        noted = dict(client.of(plain, ngh2.ResponseReceived)[0].headers)
        assert noted[b"content-length"] == b"2" and noted[b"server"] == b"edgeway" and b"date" in noted
        for call in calls:
            noted = dict(client.of(call, ngh2.ResponseReceived)[0].headers)
            assert set(noted) == {b":status", b"content-type", b"x-request-id"}
            assert client.of(call, ngh2.TrailersReceived)[0].headers == OK


async def test_head_has_a_length_and_no_body():
    async with wired(echo) as it, it.client() as client:
        assert await client.whole(b"four", method=b"HEAD") == (200, b"")
        noted = dict(client.of(1, ngh2.ResponseReceived)[0].headers)
        assert noted[b"content-length"] == b"4"


async def test_answers_come_as_they_are_ready():
    gates = [asyncio.Event(), asyncio.Event()]

    async def play(_head: Any, body: Any) -> Answer:
        await gates[int(body)].wait()
        return Answer(200, JSON, (bytes(body),))

    async with wired(play) as it, it.client() as client:
        first, second = client.ask(b"0"), client.ask(b"1")
        await until(lambda: it.context.running == 2)
        gates[1].set()
        await until(lambda: client.ended(second))
        assert not client.ended(first)
        gates[0].set()
        await until(lambda: client.ended(first))


async def test_an_answer_at_once_costs_no_turn(monkeypatch: pytest.MonkeyPatch):
    left = []

    def seen(call: Any, loop: Any, done: Any) -> Any:
        begun = begin(call, loop, done)
        left.append(isinstance(begun, asyncio.Task))
        return begun

    async def play(_head: Any, _body: Any) -> Answer:
        return Answer(200, JSON)

    monkeypatch.setattr(requests, "begin", seen)
    async with wired(play) as it, it.client() as client:
        before = len(asyncio.all_tasks())
        await client.whole()
        assert left == [False]
        assert len(asyncio.all_tasks()) == before


async def test_answers_to_one_piece_are_one_write(monkeypatch: pytest.MonkeyPatch):
    """In one turn, however slow the machine is."""
    monkeypatch.setattr(turn_queue, "TURN_S", 60)
    async with wired(echo) as it, it.raw() as (_, writer):
        writer.write(BEGIN)
        connection = await it.connected()
        transport, writes = connection.transport, []

        class Counting:
            def __getattr__(self, name: str) -> Any:
                return getattr(transport, name)

            def write(self, data: bytes) -> None:
                writes.append(data)
                transport.write(data)

        connection.writer.transport = Counting()
        writer.write(b"".join(headers(stream) for stream in range(1, 41, 2)))
        await until(lambda: writes)
        assert len(writes) == 1


async def test_same_head_is_the_same_object_for_one_peer_only():
    async with wired(echo) as it:
        async with it.client() as client, it.client() as other:
            for each in (client, client, other):
                await each.whole()
        first, second, third = it.application.heads
        assert first is second and first is not third
        assert first.peer == "127.0.0.1" and first.is_http2


async def test_context_lives_through_a_wait():
    name: ContextVar[bytes] = ContextVar("name", default=b"?")

    async def play(_head: Any, body: Any) -> Answer:
        token = name.set(bytes(body))
        await asyncio.sleep(0.01)
        received = name.get()
        name.reset(token)
        return Answer(200, JSON, (received,))

    async with wired(play) as it, it.client() as client:
        streams = [client.ask(b"%d" % number) for number in range(5)]
        await until(lambda: all(client.ended(stream) for stream in streams))
        assert [client.body(stream) for stream in streams] == [b"0", b"1", b"2", b"3", b"4"]


def raising(error: BaseException, *, waits: bool) -> Any:
    async def play(_head: Any, _body: Any) -> Answer:
        if waits:
            await asyncio.sleep(0)
        raise error

    return play


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("error", [ValueError("secret"), asyncio.CancelledError()], ids=["bug", "cancelled"])
async def test_application_that_raises_is_answered_for(error: BaseException, waits: bool):
    """Even one that cancels itself: nobody left, so somebody waits."""
    async with wired(raising(error, waits=waits)) as it, it.client() as client:
        assert await client.whole(b"x") == (500, b"internal error")
        await it.released()
        assert not client.is_over


@pytest.mark.parametrize("error", [ValueError("secret"), asyncio.CancelledError()], ids=["bug", "cancelled"])
async def test_answer_that_breaks_resets_its_stream_alone(error: BaseException):
    async def parts() -> Any:
        yield b"begun"
        raise error

    async def play(_head: Any, body: Any) -> AnyAnswer:
        return streamed(parts()) if body else Answer(200, JSON)

    async with wired(play) as it, it.client() as client:
        stream = client.ask(b"x")
        await until(lambda: client.ended(stream))
        assert client.code(stream) == ngh2.ErrorCode.INTERNAL_ERROR
        assert (await client.whole())[0] == 200


async def test_answer_that_cannot_be_said_is_a_reset():
    async def play(_head: Any, body: Any) -> Answer:
        too_long = ((b"grpc-message", b"x" * 70_000),)
        return Answer(200, JSON, (b"a",) if body else (), trailers=too_long)

    async with wired(play) as it, it.client() as client:
        for body in (b"", b"x"):
            stream = client.ask(body)
            await until(lambda: client.ended(stream))  # noqa: B023 - awaited in the same turn
            assert client.code(stream) == ngh2.ErrorCode.INTERNAL_ERROR


async def test_a_conversation():
    """Parts of the answer go out while parts of the request come in."""

    async def play(_head: Any, body: Any) -> AnyAnswer:
        async def parts() -> Any:
            async for part in body:
                yield bytes(part).upper()

        return streamed(parts(), OK)

    async with wired(play, STREAMED) as it, it.client() as client:
        stream = client.ask(b"a", end=False)
        for letter in (b"b", b"c"):
            await until(lambda: client.body(stream)[-1:] == bytes((letter[0] - 33,)))  # noqa: B023
            client.http2.send_data(stream, letter)
            client.flush()
        client.http2.end_stream(stream)
        client.flush()
        await until(lambda: client.ended(stream))
        assert client.body(stream) == b"ABC"
        assert client.code(stream) == 0


async def test_reset_cancels_its_own_stream():
    cancelled = []
    release = asyncio.Event()

    async def play(_head: Any, body: Any) -> Answer:
        try:
            await release.wait()
        except asyncio.CancelledError:
            cancelled.append(bytes(body))
            raise
        return Answer(200, JSON)

    async with wired(play) as it, it.client() as client:
        first, second = client.ask(b"first"), client.ask(b"second")
        await until(lambda: it.context.running == 2)
        client.http2.reset_stream(first)
        client.flush()
        await until(lambda: it.context.running == 1)
        assert cancelled == [b"first"]
        assert it.context.address_limits.buffered == len(b"second")
        release.set()
        await until(lambda: client.ended(second))
        assert client.status(second) == 200


async def test_client_that_leaves_cancels_all():
    async def play(_head: Any, body: Any) -> Answer:
        if not isinstance(body, bytes):
            async for _ in body:
                pass
        await asyncio.sleep(99)
        return Answer(200, JSON)

    def opening(head: Any) -> BodyPolicy:
        return STREAMED if head.get("stream") else BodyPolicy(MIB)

    async with wired(play, opening) as it:
        async with it.client() as client:
            client.ask(bytes(1000))
            client.ask(bytes(1000), end=False)
            client.ask(bytes(1000), [(b"stream", b"1")], end=False)
            await until(lambda: it.context.running == 2 and it.context.address_limits.buffered >= 2000)
        await it.released()


async def test_random_bodies_over_random_windows():
    """Nothing stalls, however small the windows and whoever reads when."""
    chance = random.Random(5)

    async def play(_head: Any, body: Any) -> AnyAnswer:
        if isinstance(body, bytes | memoryview | bytearray):
            return Answer(200, JSON, (body,))

        async def parts() -> Any:
            async for part in body:
                await asyncio.sleep(0)
                yield part

        return streamed(parts())

    def opening(head: Any) -> BodyPolicy:
        return STREAMED if head.get("stream") else BodyPolicy(1 << 30)

    windows = {"initial_stream_window_kib": 64, "initial_connection_window_kib": 64}
    async with wired(play, opening, **windows) as it:
        for window in (1000, 70_000, 1 << 24):
            async with it.client(window) as client:
                sizes = [chance.randrange(1 << chance.randrange(8, 21)) for _ in range(12)]
                streams = {
                    client.ask(bytes(size), [(b"stream", b"1")] if chance.random() < 0.5 else ()): size
                    for size in sizes
                }
                await until(lambda: all(map(client.ended, streams)), 30)  # noqa: B023
                assert {stream: len(client.body(stream)) for stream in streams} == streams


async def test_drain_loses_nothing():
    """What is under way ends, what crosses with the first word is taken, and then the connection closes."""
    release = asyncio.Event()

    async def play(_head: Any, body: Any) -> Answer:
        await release.wait()
        return Answer(200, JSON, (bytes(body),))

    async with wired(play) as it, it.client(1000) as client:
        streams = [client.ask(bytes(100_000))]
        await until(lambda: it.context.running == 1)
        await it.listener.stop_accepting()
        streams.append(client.ask(b"crossed"))
        await until(lambda: it.context.running == 2)
        await until(lambda: len(client.goaways) == 2)
        assert client.goaways[1].last_stream_id == streams[1]
        release.set()
        await until(lambda: client.is_over)
        assert [len(client.body(stream)) for stream in streams] == [100_000, 7]
