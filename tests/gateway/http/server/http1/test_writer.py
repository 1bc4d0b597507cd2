"""What goes out: in one piece where it can, and no more than is read."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.http.exchange import Answer
from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.context import ServerContext
from gateway.http.server.http1.writer import Http1Writer, closing
from tests.fakes.body_source import endless, parts_of, streamed
from tests.fakes.server_context import FakeTransport, open_context

RAW = Http1RequestHead("GET", "/", (), 0, True, False, False)


def changed(**fields: Any) -> Http1RequestHead:
    return msgspec.structs.replace(RAW, **fields)


def output_of(context: ServerContext) -> tuple[Http1Writer, FakeTransport]:
    transport = FakeTransport()
    return Http1Writer(context, transport), transport  # type: ignore[arg-type]


async def test_small_answers_go_out_together():
    """One write for all that was answered before the flush; nothing for nothing."""
    async with open_context() as context:
        writer, transport = output_of(context)
        writer.reply(RAW, Answer(200, body=(b"a", b"b")))
        writer.reply(RAW, Answer(404))
        assert transport.written == []
        writer.flush()
        writer.flush()

    assert len(transport.written) == 1
    assert transport.written[0].count(b"HTTP/1.1 ") == 2
    assert b"content-length: 2\r\n\r\nab" in transport.written[0]


async def test_large_answers_do_not_pile_up():
    """Only the transport can say that the peer does not read: it is asked after each 64 KiB."""
    async with open_context() as context:
        writer, transport = output_of(context)
        writer.reply(RAW, Answer(200, body=(bytes(70 << 10),)))

        assert len(transport.written) == 1
        assert repr(writer) == "<Http1Writer open, 0 parts>"


@pytest.mark.parametrize(
    ("raw", "answer", "says", "is_closing"),
    [
        (RAW, Answer(200), None, False),
        (RAW, Answer(200, close=True), b"close", True),
        (RAW, closing(Answer(200)), b"close", True),
        (changed(keep_alive=False), Answer(200), b"close", True),
        (changed(is_10=True), Answer(200), b"keep-alive", False),
        (changed(is_10=True, keep_alive=False), Answer(200), b"close", True),
        (None, Answer(400), b"close", True),
    ],
)
async def test_what_is_said_of_the_connection(raw, answer, says, is_closing):
    """Close where either side wants it, keep-alive where HTTP/1.0 has to be told."""
    async with open_context() as context:
        writer, transport = output_of(context)
        writer.reply(raw, answer)
        writer.flush()

    received = transport.written[0]
    assert (b"connection: " in received) is (says is not None)
    assert says is None or b"connection: %b\r\n" % says in received
    assert writer.is_closing is is_closing


async def test_drain_is_said_with_the_last_answer():
    """Not while others behind it are under way."""
    async with open_context() as context:
        writer, _ = output_of(context)
        context.drain.is_active = True
        writer.reply(RAW, Answer(200), has_more=True)
        assert not writer.is_closing
        writer.reply(RAW, Answer(200))
        assert writer.is_closing


@pytest.mark.parametrize("is_10", [False, True])
async def test_streams(is_10):
    """In chunks, or until the connection ends; empty parts would end the chunks and are left out."""
    async with open_context() as context:
        writer, transport = output_of(context)
        await writer.stream(changed(is_10=is_10), streamed(parts_of(b"abc", b"", b"0123456789abcdef")))
        writer.flush()

    _, _, received = b"".join(transport.written).partition(b"\r\n\r\n")
    assert received == (
        b"abc0123456789abcdef" if is_10 else b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
    )
    assert writer.is_closing is is_10


async def test_a_stream_waits_for_the_reader():
    """Between pause and resume no part is asked for."""
    async with open_context() as context:
        writer, transport = output_of(context)
        writer.pause()
        assert writer.progress.is_watched
        pumping = asyncio.create_task(writer.stream(RAW, streamed(parts_of(b"a", b"b"))))
        await asyncio.sleep(0.01)
        assert b"1\r\na\r\n" in transport.written
        assert b"1\r\nb\r\n" not in transport.written
        assert "paused" in repr(writer)
        writer.resume()
        await pumping
        assert b"1\r\nb\r\n" in transport.written


async def test_nothing_is_written_to_who_has_left():
    """The parts are dropped."""
    async with open_context() as context:
        writer, transport = output_of(context)
        transport.closed = True
        writer.reply(RAW, Answer(200))
        writer.flush()

    assert transport.written == []


async def test_a_stream_to_who_has_left():
    """A source that never waits is not read on: nobody could cancel it."""
    async with open_context() as context:
        writer, transport = output_of(context)
        transport.closed = True
        async with asyncio.timeout(30):
            await writer.stream(RAW, streamed(endless()))

    assert transport.written == []
