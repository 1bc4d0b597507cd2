"""Requests that wait behind another."""

from __future__ import annotations

from typing import Any

from gateway.http.exchange import Answer, Head
from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.context import ServerContext
from gateway.http.server.http1.pipeline import Http1Pipeline, held
from tests.fakes.server_context import FakeTransport, open_context

RAW = Http1RequestHead("GET", "/", (), 0, True, False, False)


def request(body: Any) -> Any:
    return (Head("GET", "/", ()), RAW, body)


def pipeline_of(context: ServerContext) -> tuple[Http1Pipeline, FakeTransport]:
    transport = FakeTransport()
    return Http1Pipeline(context, transport, context.address_limits.of("a")), transport  # type: ignore[arg-type]


async def test_order_and_books():
    """First in, first out; they run, and their bodies are given back when they are forgotten."""
    async with open_context() as context:
        pipeline, _ = pipeline_of(context)
        account = context.address_limits.of("a")
        account.hold(3)
        one, two, refused = request(b"a"), request(b"bc"), (None, None, Answer(400))
        for item in (one, two, refused, request(BodyStream(pipeline.flow))):
            pipeline.add(item)
        assert (len(pipeline), context.running) == (4, 4)

        assert pipeline.take() is one
        account.give(held(one[2]))
        pipeline.clear()

        assert (len(pipeline), context.running, context.address_limits.buffered) == (0, 0, 0)


async def test_two_reasons_to_stop_reading():
    """Neither lets go what the other holds: a stream that is full stays held while the queue shrinks."""
    async with open_context(max_pipelined=2) as context:
        pipeline, transport = pipeline_of(context)
        pipeline.add(request(b""))
        pipeline.add(request(b""))
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
        account = context.address_limits.of("a")
        account.hold(account.high + 1)
        assert transport.noted == []
        pipeline.add(request(b""))
        assert transport.noted == ["pause"]
        pipeline.take()
        assert transport.noted == ["pause", "resume"]
        account.give(account.high + 1)
