"""The requests of an HTTP/2 connection, without a socket: events in, answers out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.http.exchange import Answer, BodyPolicy
from gateway.http.framing.http2_server import BodyData, HeadTooLarge, Http2Request, Http2RequestHead
from gateway.http.server.http2.requests import Http2Requests
from gateway.http.server.http2.windows import Http2Windows
from tests.fakes.http2_wire import JSON, ScriptedApplication
from tests.fakes.server_context import open_context

RAW = Http2RequestHead("POST", "/x", (("host", "test"),), None)


class FakeEngine:
    """An engine and its writer in one: notes replies and resets."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, int, bytes, bool]] = []
        self.resets: list[tuple[int, int]] = []

    def reply(self, number: int, _head: Any, answer: Answer, *, is_complete: bool) -> None:
        self.replies.append((number, answer.status, b"".join(map(bytes, answer.body)), is_complete))

    def reset(self, number: int, error: int) -> None:
        self.resets.append((number, error))

    def acknowledge(self, _size: int, _stream: int) -> None:
        """No window is looked at here."""

    def flush(self) -> None:
        """There is no transport."""

    flush_soon = flush


async def echo(_head: Any, body: Any) -> Answer:
    return Answer(200, JSON, (bytes(body),))


@asynccontextmanager
async def requests_of(
    play: Any, opening: Any = None, **limits: Any
) -> AsyncIterator[tuple[Http2Requests, FakeEngine]]:
    """Requests over a fake engine; afterwards nothing is counted any more."""
    async with open_context(ScriptedApplication(play, opening), **limits) as context:
        engine: Any = FakeEngine()
        windows = Http2Windows(engine, engine, context.settings)
        booking = context.address_limits.of("a").booking()
        requests = Http2Requests(context, "a", engine, engine, windows, booking=booking)
        yield requests, engine
        assert (context.running, context.address_limits.buffered, len(requests)) == (0, 0, 0)


async def test_a_request_in_parts():
    """It is answered when its body has ended."""
    async with requests_of(echo) as (requests, engine):
        requests.take_request(Http2Request(1, RAW, None, False))
        requests.take_data(BodyData(1, b"ab", False))
        assert (engine.replies, repr(requests)) == ([], "<Http2Requests, 1 streams>")
        requests.take_data(BodyData(1, b"c", True))

    assert engine.replies == [(1, 200, b"abc", True)]


async def test_a_body_that_ends_with_trailers():
    """Likewise; the end of a stream that is over is nothing."""
    async with requests_of(echo) as (requests, engine):
        requests.take_request(Http2Request(1, RAW, None, False))
        requests.take_end(1)
        requests.take_end(1)
        requests.take_closed(1)

    assert engine.replies == [(1, 200, b"", True)]


async def test_refusals():
    """What is too large, announced or sent, or has headers that are."""
    async with requests_of(echo, BodyPolicy(2)) as (requests, engine):
        requests.take_request(Http2Request(1, RAW, 3, False))
        requests.take_request(Http2Request(3, RAW, None, False))
        requests.take_data(BodyData(3, b"abc", False))
        requests.take_data(BodyData(3, b"d", True))
        requests.take_too_large(HeadTooLarge(5, RAW, True))

    assert [(number, status, done) for number, status, _, done in engine.replies] == [
        (1, 413, False),
        (3, 413, False),
        (5, 431, True),
    ]


async def test_a_streamed_body_that_is_too_large():
    """It is being answered already: only a reset can tell."""
    broken = []

    async def read(_head: Any, body: Any) -> Answer:
        try:
            async for _ in body:
                pass
        except ConnectionResetError as error:
            broken.append(str(error))
        return Answer(200, JSON)

    async with requests_of(read, BodyPolicy(2, is_stream=True)) as (requests, engine):
        requests.take_request(Http2Request(1, RAW, None, False))
        requests.take_data(BodyData(1, b"abc", False))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert (engine.replies, engine.resets) == ([], [(1, 11)])


async def test_a_slow_body():
    """It is refused; the sweep that finds it goes on to the others."""
    async with requests_of(echo, body_timeout_s=1.0) as (requests, engine):
        requests.take_request(Http2Request(1, RAW, None, False))
        requests.take_request(Http2Request(3, RAW, None, False))
        requests.end_slow(asyncio.get_running_loop().time() + 0.5)
        assert engine.replies == []
        requests.end_slow(asyncio.get_running_loop().time() + 5)

    assert [(number, status) for number, status, *_ in engine.replies] == [(1, 408), (3, 408)]


async def test_who_leaves_cancels_its_answer():
    """Or the connection does for all; what does not take its answer is reset."""
    cancelled = []

    async def wait(_head: Any, _body: Any) -> Answer:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        raise AssertionError

    async with requests_of(wait) as (requests, engine):
        for number in (1, 3, 5):
            requests.take_request(Http2Request(number, RAW, 0, True))
        await asyncio.sleep(0)
        requests.take_closed(1)
        requests.close_stuck([3, 99])
        requests.close_all()
        await asyncio.sleep(0.01)

    assert len(cancelled) == 3
    assert (engine.replies, engine.resets) == ([], [(3, 8), (99, 8)])
