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


def waiting_requests_of(context: ServerContext) -> tuple[Http1Pipeline, FakeTransport]:
    transport = FakeTransport()
    return Http1Pipeline(context, transport, context.address_limits.of("a")), transport  # type: ignore[arg-type]


async def test_order_and_books():
    """First in, first out; they run, and their bodies are given back when they are forgotten."""
    async with open_context() as context:
        waiting_requests, _ = waiting_requests_of(context)
        usage = context.address_limits.of("a")
        usage.hold(3)
        one, two, refused = request(b"a"), request(b"bc"), (None, None, Answer(400))
        for item in (one, two, refused, request(BodyStream(waiting_requests.flow))):
            waiting_requests.add(item)
        assert (len(waiting_requests), context.running) == (4, 4)

        assert waiting_requests.take() is one
        usage.give(held(one[2]))
        waiting_requests.clear()

        assert (len(waiting_requests), context.running, context.address_limits.buffered) == (0, 0, 0)


async def test_two_reasons_to_stop_reading():
    """Neither lets go what the other holds: a stream that is full stays held while the queue shrinks."""
    async with open_context(max_pipelined=2) as context:
        waiting_requests, transport = waiting_requests_of(context)
        waiting_requests.add(request(b""))
        waiting_requests.add(request(b""))
        waiting_requests.flow(False)
        assert transport.noted == ["pause"]
        assert repr(waiting_requests) == "<Http1Pipeline paused, 2 waiting>"
        waiting_requests.take()
        assert transport.noted == ["pause"]
        waiting_requests.flow(True)
        assert transport.noted == ["pause", "resume"]
        transport.closed = True
        waiting_requests.flow(False)
        assert transport.noted == ["pause", "resume"]
        waiting_requests.clear()


async def test_an_address_that_holds_much_is_read_on_when_nothing_waits():
    """What waits will be answered and make room; if nothing did, to stop reading could be for ever."""
    async with open_context(max_buffered_mib=1) as context:
        waiting_requests, transport = waiting_requests_of(context)
        usage = context.address_limits.of("a")
        usage.hold(usage.high + 1)
        assert transport.noted == []
        waiting_requests.add(request(b""))
        assert transport.noted == ["pause"]
        waiting_requests.take()
        assert transport.noted == ["pause", "resume"]
        usage.give(usage.high + 1)
