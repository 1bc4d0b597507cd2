"""Requests that wait behind another."""

from __future__ import annotations

from typing import Any

from gateway.http.exchange import Answer, Head
from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.address_limits import Booked
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.context import ServerContext
from gateway.http.server.http1.pipeline import Http1Pipeline
from tests.fakes.server_context import FakeTransport, open_context

RAW = Http1RequestHead("GET", "/", (), 0, True, False, False)


def request(context: ServerContext, body: Any) -> Any:
    size = 0 if isinstance(body, BodyStream) else len(body)
    booking = context.address_limits.of("a").booking()
    booking.hold(size)
    return (Head("GET", "/", ()), RAW, body, Booked(booking, size, 0))


def pipeline_of(context: ServerContext) -> tuple[Http1Pipeline, FakeTransport]:
    transport = FakeTransport()
    return Http1Pipeline(context, transport, context.address_limits.of("a")), transport  # type: ignore[arg-type]


async def test_order_and_books():
    """First in, first out; they run, and their bodies are given back when they are forgotten."""
    async with open_context() as context:
        pipeline, _ = pipeline_of(context)
        one, two, refused = request(context, b"a"), request(context, b"bc"), (None, None, Answer(400))
        for item in (one, two, refused, request(context, BodyStream(pipeline.flow))):
            pipeline.add(item)
        assert (len(pipeline), context.running) == (4, 4)

        assert pipeline.take() is one
        one[3].release()
        pipeline.clear()

        assert (len(pipeline), context.running, context.address_limits.buffered) == (0, 0, 0)


async def test_two_reasons_to_stop_reading():
    """Neither lets go what the other holds: a stream that is full stays held while the queue shrinks."""
    async with open_context(max_pipelined=2) as context:
        pipeline, transport = pipeline_of(context)
        pipeline.add(request(context, b""))
        pipeline.add(request(context, b""))
        pipeline.flow(False)
        assert transport.noted == ["pause"]
        assert repr(pipeline) == "<Http1Pipeline paused, 2 waiting>"
        pipeline.take()
        assert transport.noted == ["pause"]
        pipeline.flow(True)
        assert transport.noted == ["pause", "resume"]
        transport.closed = True
        pipeline.flow(False)
        assert transport.noted == ["pause", "resume"]
        pipeline.clear()


async def test_an_address_that_holds_much_is_read_on_when_nothing_waits():
    """What waits will be answered and make room; if nothing did, to stop reading could be for ever."""
    async with open_context(max_buffered_mib=1) as context:
        pipeline, transport = pipeline_of(context)
        booking = context.address_limits.of("a").booking()
        booking.hold(booking.address.high + 1)
        assert transport.noted == []
        pipeline.add(request(context, b""))
        assert transport.noted == ["pause"]
        pipeline.take()
        assert transport.noted == ["pause", "resume"]
        booking.give(booking.address.high + 1)
