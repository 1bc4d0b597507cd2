"""Streaming calls that last: what changes around them while they are open."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.grpc.streams import CONCURRENT
from gateway.wire.grpc_framing import frame
from gateway.wire.proto import messages
from tests.fakes.clock import VirtualClock
from tests.fakes.data_plane import EchoService, FakeGeneration, fake_data_plane
from tests.fakes.exchange import Parts, Reply, Wire
from tests.fakes.service import HANG, ScriptedService
from tests.fakes.virtual_time import virtual_time

GRPC = {"content-type": "application/grpc", "te": "trailers"}
STREAM = f"/{messages.SERVICE}/ModelStreamInfer"
WATCH = "/grpc.health.v1.Health/Watch"
NUMBER = "x-edgeway-policy-generation"


def wire(service: Any, **changes: Any) -> Wire:
    return Wire(GrpcApplication(fake_data_plane(service, clock=VirtualClock(), **changes)), is_http2=True)


def framed(message: Any) -> bytes:
    return b"".join(map(bytes, frame([message.SerializeToString()])))


def infer(request_id: str = "r-1", **parameters: int) -> bytes:
    message = messages.ModelInferRequest(model_name="digits", id=request_id)
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    message.raw_input_contents.append(b"\0" * 8)
    for name, value in parameters.items():
        message.parameters[name].int64_param = value
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


class Gated(EchoService):
    """Answers a request when its gate opens, by its id; ``running``: requests under way."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.running: list[str] = []

    async def __call__(self, request: Request) -> Response:
        self.running.append(request.id)
        try:
            await self.gates[request.id].wait()
            return await super().__call__(request)
        finally:
            self.running.remove(request.id)


def conversation(service: Any, *ids: str, **headers: str) -> tuple[Parts, asyncio.Task[Reply]]:
    """A stream of these requests, which stays open, and what becomes of it."""

    async def sent() -> AsyncIterator[bytes]:
        for each in ids:
            yield infer(each)
        await asyncio.Event().wait()

    stream = Parts(sent())
    return stream, asyncio.create_task(wire(service).ask("POST", STREAM, stream, GRPC | headers))


@virtual_time
async def test_requests_of_a_stream_are_under_way_together():
    """So that they can be batched; up to a bound, in their order, and each is needed until it is answered."""
    service, ids = Gated(), [f"{number}" for number in range(CONCURRENT + 2)]
    stream, asking = conversation(service, *ids)
    await asyncio.sleep(1)
    assert service.running == ids[:CONCURRENT]

    service.gates["1"].set()
    await asyncio.sleep(1)
    assert (service.running, stream.needless) == (["0", *ids[2:CONCURRENT]], 0)

    service.gates["0"].set()
    await asyncio.sleep(1)
    assert (service.running, stream.needless) == (ids[2:], len(infer("0")) + len(infer("1")))

    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert service.running == []


@virtual_time
async def test_steps_of_a_sequence_are_taken_one_after_the_other():
    """The model at the other end may have state."""
    service = Gated()

    async def sent() -> AsyncIterator[bytes]:
        yield infer("free") + infer("1", sequence_id=7) + infer("2", sequence_id=7) + infer("3")
        await asyncio.Event().wait()

    asking = asyncio.create_task(wire(service).ask("POST", STREAM, sent(), GRPC))
    for gate, running in (("", ["free", "1"]), ("1", ["free", "2"]), ("2", ["free", "3"])):
        service.gates[gate].set()
        await asyncio.sleep(1)
        assert service.running == running
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_answers_come_in_the_order_of_the_requests():
    service = Gated()
    for gate in ("b", "a"):
        service.gates[gate].set()
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])

    async def sent() -> AsyncIterator[bytes]:
        yield infer("c") + infer("b") + framed(wrong) + infer("a")
        await asyncio.sleep(0.01)
        service.gates["c"].set()

    reply = await wire(service).ask("POST", STREAM, sent(), GRPC)

    first, second, third, fourth = answers(reply.body)
    assert (first, second, fourth) == ("c", "b", "a")
    assert "negative dimension" in third


@virtual_time
async def test_a_stream_that_ends_by_an_error_cancels_the_rest():
    service = Gated()
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])

    async def sent() -> AsyncIterator[bytes]:
        yield framed(wrong) + infer("a") + infer("b")
        await asyncio.sleep(99)

    reply = await wire(service).ask("POST", STREAM, sent(), GRPC | {"triton_grpc_error": "true"})

    assert (reply.trailers["grpc-status"], reply.body, service.running) == ("3", b"", [])


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


@pytest.mark.parametrize("turns", range(24))
async def test_a_client_that_leaves_as_its_request_comes(turns: int):
    """Whatever had not begun yet leaves no coroutine that nobody awaits."""
    begun = ended = 0

    class Layered:
        """A generation whose answers are coroutines around coroutines, as a stack's are."""

        number = 1

        def __call__(self, request: Request) -> Any:
            nonlocal begun
            begun += 1
            return self._wait(self._inner(request))

        async def _wait(self, pending: Any) -> Response:
            nonlocal ended
            try:
                return await pending
            finally:
                ended += 1

        async def _inner(self, _request: Request) -> Response:
            return await asyncio.get_running_loop().create_future()

    asking = asyncio.create_task(
        wire(EchoService(), generation=Layered).ask("POST", STREAM, infer("a") + infer("b"), GRPC)
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    gc.collect()

    assert begun == ended
