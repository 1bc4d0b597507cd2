"""Streaming calls that last: what changes around them while they are open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.listeners.rpc.application import RpcApplication
from gateway.wire.grpc_framing import frame
from gateway.wire.proto import messages
from tests.fakes.clock import VirtualClock
from tests.fakes.exchange import Wire
from tests.fakes.front import EchoService, FakeGeneration, fake_front
from tests.fakes.service import HANG, ScriptedService
from tests.fakes.virtual_time import virtual_time

GRPC = {"content-type": "application/grpc", "te": "trailers"}
STREAM = f"/{messages.SERVICE}/ModelStreamInfer"
WATCH = "/grpc.health.v1.Health/Watch"
NUMBER = "x-edgeway-policy-generation"


def wire(service: Any, **changes: Any) -> Wire:
    return Wire(RpcApplication(fake_front(service, clock=VirtualClock(), **changes)), is_http2=True)


def framed(message: Any) -> bytes:
    return b"".join(map(bytes, frame([message.SerializeToString()])))


def infer(request_id: str = "r-1") -> bytes:
    message = messages.ModelInferRequest(model_name="digits", id=request_id)
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    message.raw_input_contents.append(b"\0" * 8)
    return framed(message)


def answers(body: bytes) -> list[str]:
    """What was said to each request: its id, or what was wrong."""
    found = []
    while body:
        end = 5 + int.from_bytes(body[1:5], "big")
        answer = messages.ModelStreamInferResponse.FromString(body[5:end])
        found.append(answer.error_message or answer.infer_response.id)
        body = body[end:]
    return found


async def test_each_request_of_a_stream_is_one_of_the_policy_in_force():
    """Whoever has lost access loses it on the streams that are open, too."""

    async def refuses(_request: Request) -> Response:
        raise GatewayError(Fault.UNAUTHENTICATED, "a key is needed")

    generations = [FakeGeneration(EchoService(), 1), FakeGeneration(refuses, 2)]

    async def sent() -> AsyncIterator[bytes]:
        yield infer("before")
        generations.pop(0)
        yield infer("after")

    reply = await wire(EchoService(), generation=lambda: generations[0]).ask("POST", STREAM, sent(), GRPC)

    assert answers(reply.body) == ["before", "a key is needed"]
    assert (reply.trailers["grpc-status"], reply.trailers[NUMBER]) == ("0", "2")


@virtual_time
async def test_the_timeout_is_of_the_whole_stream():
    """Each request has what is left of it, and the stream ends with it."""
    service = EchoService()

    async def sent() -> AsyncIterator[bytes]:
        for _ in range(99):
            yield infer()
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
    body = infer() if path == STREAM else framed(messages.HealthCheckRequest())

    began = asyncio.get_running_loop().time()
    reply = await wire(service).ask("POST", path, body, GRPC | {"grpc-timeout": "500m"})

    assert (reply.trailers["grpc-status"], service.running) == ("4", 0)
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.5)


async def test_a_timeout_that_is_none():
    reply = await wire(EchoService()).ask("POST", STREAM, infer(), GRPC | {"grpc-timeout": "soon"})

    assert reply.trailers["grpc-status"] == "3"
