"""What all streaming calls have: a status at the end and a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.core.telemetry import Refused
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.exchange import Wire, in_pieces
from tests.fakes.service import HANG, ScriptedService
from tests.fakes.virtual_time import virtual_time
from tests.gateway.listeners.oip.grpc.calls import (
    GRPC,
    HEALTH,
    STREAM,
    answers,
    framed,
    framed_infer,
    unframed,
    wire,
)

WATCH = f"/{HEALTH}/Watch"


async def test_streams_end_with_a_status():
    """Broken framing and bugs end a stream after what was answered."""
    body = framed_infer("1") + b"\0\0"
    reply = await wire().ask("POST", STREAM, body, GRPC)
    bug = await wire(ScriptedService(ZeroDivisionError("secret"))).ask(
        "POST", STREAM, in_pieces(framed_infer()), GRPC
    )

    assert (len(unframed(reply.body)), reply.trailers["grpc-status"]) == (1, "3")
    assert (bug.body, bug.trailers["grpc-status"], bug.trailers["grpc-message"]) == (
        b"",
        "13",
        "internal error",
    )


@virtual_time
async def test_the_timeout_is_of_the_whole_stream():
    """Each request has what is left of it, and the stream ends with it."""
    service = EchoService()

    async def sent() -> AsyncIterator[bytes]:
        for _ in range(99):
            yield framed_infer()
            await asyncio.sleep(0.4)

    began = asyncio.get_running_loop().time()
    reply = await wire(service).ask("POST", STREAM, sent(), GRPC | {"grpc-timeout": "1S"})

    assert asyncio.get_running_loop().time() - began == pytest.approx(1)
    assert [request.deadline - began for request in service.requests] == pytest.approx([1, 1, 1])
    assert (len(answers(reply.body)), reply.trailers["grpc-status"]) == (3, "4")


@virtual_time
@pytest.mark.parametrize("path", [STREAM, WATCH])
async def test_the_timeout_ends_what_is_under_way(path: str):
    service = ScriptedService(HANG)
    body = framed_infer() if path == STREAM else framed(messages.HealthCheckRequest())

    began = asyncio.get_running_loop().time()
    reply = await wire(service).ask("POST", path, body, GRPC | {"grpc-timeout": "500m"})

    assert (reply.trailers["grpc-status"], service.running) == ("4", 0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.5)


async def test_a_timeout_that_is_none():
    """It is refused, and counted once."""
    data_plane = fake_data_plane(EchoService())
    answering = Wire(GrpcApplication(data_plane), is_http2=True)

    reply = await answering.ask("POST", STREAM, framed_infer(), GRPC | {"grpc-timeout": "soon"})

    assert reply.trailers["grpc-status"] == "3"
    assert data_plane.telemetry.of(Refused) == [Refused("grpc", "invalid")]
