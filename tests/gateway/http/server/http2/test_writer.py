"""What an HTTP/2 connection has to send and cannot."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.http.exchange import Head
from gateway.http.server.http2.writer import Http2Writer, Unsent
from gateway.http.server.settings import TransportSettings
from gateway.http.server.unread_answers import UnreadAnswers
from tests.fakes.body_source import endless, streamed
from tests.fakes.server_context import FakeTransport, open_context

SETTINGS = TransportSettings(write_timeout_s=20, min_body_bytes_per_s=1)


def test_what_moves_is_not_stuck():
    queued = {1: 100, 3: 100, 5: 0}
    unsent = Unsent(lambda number: queued.get(number, 0))
    for number in (1, 3, 5):
        unsent.note(number, 0.0)
    assert unsent and repr(unsent) == "<Unsent 2 streams>"

    queued[3] = 50
    assert unsent.stuck(10.0, SETTINGS) == []
    assert unsent.stuck(21.0, SETTINGS) == [1]
    assert unsent.stuck(21.0, SETTINGS) == [], "it is told once"
    assert unsent.stuck(31.0, SETTINGS) == [3], "from when it moved last"
    assert not unsent


def test_an_answer_that_grows_begins_no_new_window():
    """A streamed answer gets longer with all that is read of it."""
    queued = {1: 100}
    unsent = Unsent(lambda number: queued[number])
    unsent.note(1, 0.0)
    unsent.grow(3, 10)
    for second in range(1, 21):
        if second % 2:
            queued[1] -= 1
        else:
            queued[1] += 1
            unsent.grow(1, 1)
            unsent.note(1, float(second))
        assert unsent.stuck(float(second), SETTINGS) == []
    assert unsent.stuck(20.5, SETTINGS) == [1]


def test_what_is_out_is_forgotten():
    queued = {1: 100}
    unsent = Unsent(lambda number: queued[number])
    unsent.note(1, 0.0)
    queued[1] = 0
    assert unsent.stuck(100.0, SETTINGS) == []
    assert not unsent


def test_a_byte_now_and_then_is_not_enough():
    """What each has to take is its share of what one alone would have to."""
    queued = {1: 1000, 3: 1000}
    unsent = Unsent(lambda number: queued[number])
    for number in queued:
        unsent.note(number, 0.0)
    for second in range(1, 22):
        queued[1] -= 1 if second < 9 else 0
        queued[3] -= 1
        noted = unsent.stuck(float(second), SETTINGS)
    assert noted == [1]


class FakeEngine:
    """Takes everything, and has nothing that waits."""

    is_over = False

    def begin(self, _stream: int, _headers: Any) -> bool:
        return True

    def more(self, _stream: int, _part: bytes) -> bool:
        return True

    def finish(self, _stream: int, _trailers: Any) -> bool:
        raise AssertionError

    def queued(self, _stream: int | None = None) -> int:
        return 0


async def test_a_stream_to_who_has_left():
    """A source that never waits is not read on: nobody could cancel it."""
    async with open_context() as context:
        transport, engine = FakeTransport(), FakeEngine()
        transport.closed = True
        unread = UnreadAnswers(context.address_limits.of("a").booking)
        writer = Http2Writer(context, transport, engine, unread)  # type: ignore[arg-type]
        sizes: list[int] = []
        async with asyncio.timeout(30):
            assert not await writer.stream(1, Head("GET", "/", ()), streamed(endless()), sizes.append)
        assert not sizes
