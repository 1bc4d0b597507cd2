"""An address whose server says that it is out: the name's other addresses take its requests."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import GatewayError
from gateway.upstreams.oip_grpc import GrpcUpstream
from gateway.upstreams.oip_http import HttpUpstream
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.http2_peer import Call, http2_peer
from tests.fakes.listener import listener_of
from tests.fakes.names import Names
from tests.fakes.service import request
from tests.fakes.upstreams import http, read_request, scripted_peer

SICK = "127.0.0.1"
WELL = "127.0.0.2"


def far_over(wire: str, port: int) -> HttpUpstream | GrpcUpstream:
    if wire == "http":
        return HttpUpstream("far", f"http://far:{port}", LoopClock())
    return GrpcUpstream("far", f"far:{port}", LoopClock())


class Sick:
    """A server that answers every request with one status, over either wire, and counts them."""

    def __init__(self, status: int, grpc_status: int, *, close: bool) -> None:
        self.http = http(status, b'{"error":"starting"}', close=close)
        self.grpc = b"%d" % grpc_status
        self.close = close
        self.asked = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                await read_request(reader)
                self.asked += 1
                writer.write(self.http)
                if self.close:
                    return

    def call(self, call: Call) -> None:
        self.asked += 1
        call.answer(b"", (b"grpc-status", self.grpc))


async def requests_to(sick: Sick, wire: str, requests: int) -> int:
    """Send requests to a name of which the first address is ``sick``; return how often it was asked."""
    async with AsyncExitStack() as lifetimes:
        well = listener_of(fake_data_plane(EchoService()))
        await well.start(WELL, 0)
        lifetimes.push_async_callback(well.aclose)
        peer = (
            scripted_peer(sick.play, well.port) if wire == "http" else http2_peer(sick.call, port=well.port)
        )
        await lifetimes.enter_async_context(peer)
        upstream = far_over(wire, well.port)
        lifetimes.push_async_callback(upstream.aclose)
        for _ in range(requests):
            with suppress(GatewayError):
                await upstream(request())
    return sick.asked


@pytest.mark.parametrize("close", [False, True], ids=["keeps", "closes"])
@pytest.mark.parametrize("wire", ["http", "grpc"])
async def test_an_address_that_says_it_is_out_is_left(monkeypatch, wire, close):
    """One refusal, and the other address has them all, whether its connection is kept or not."""
    Names(monkeypatch, [SICK, WELL])

    assert await requests_to(Sick(503, 14, close=close), wire, 10) == 1


@pytest.mark.parametrize("wire", ["http", "grpc"])
@pytest.mark.parametrize("status", [(504, 4), (500, 13), (429, 8)], ids=str)
async def test_what_may_be_the_callers_own_moves_nobody(monkeypatch, wire, status):
    """A deadline, a model that fails, a quota: another address would say the same."""
    Names(monkeypatch, [SICK, WELL])

    assert await requests_to(Sick(*status, close=False), wire, 4) == 4


@pytest.mark.parametrize("wire", ["http", "grpc"])
async def test_where_there_is_no_other_address_it_is_asked_on(monkeypatch, wire):
    """The connection that is open is as good as any."""
    Names(monkeypatch, [SICK])

    assert await requests_to(Sick(503, 14, close=False), wire, 6) == 6
