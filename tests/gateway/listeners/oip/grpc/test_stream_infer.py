"""ModelStreamInfer: answers in order, errors in their place, and what changes while a stream is open."""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.telemetry import Refused
from gateway.listeners.oip.grpc.stream_infer import CONCURRENT
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService, FakeGeneration
from tests.fakes.exchange import Parts, Reply
from tests.fakes.service import HANG, ScriptedService
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.gateway.listeners.oip.grpc.calls import (
    GRPC,
    STREAM,
    answers,
    framed,
    framed_infer,
    infer,
    stream,
    unframed,
    wire,
)

NUMBER = "x-edgeway-policy-generation"


async def test_stream_infer():
    """Each request has one answer, in order; what is wrong with one is told in its place."""
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])

    bodies, trailers = await stream(
        STREAM, infer("1"), wrong, infer("2", triton_enable_empty_final_response=1)
    )

    first, second, third = map(messages.ModelStreamInferResponse.FromString, bodies)
    assert first.infer_response.id == "1"
    assert first.infer_response.raw_output_contents[0] == b"\0" * 8
    assert "negative dimension" in second.error_message
    assert third.infer_response.parameters["triton_final_response"].bool_param
    assert trailers["grpc-status"] == "0"


async def test_true_statuses_for_who_asks():
    """With triton_grpc_error the first error ends the stream; with anything else it is told within."""
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])
    body = framed(infer("1"), wrong, infer("2"))

    for value, count, status in (("true", 1, "3"), ("false", 3, "0")):
        reply = await wire().ask("POST", STREAM, body, {**GRPC, "triton_grpc_error": value})

        assert (len(unframed(reply.body)), reply.trailers["grpc-status"]) == (count, status)
        assert ("negative dimension" in unquote(reply.trailers.get("grpc-message", ""))) == (status == "3")


async def test_stream_that_is_left_cancels():
    """A client that leaves cancels the request under way."""
    service = ScriptedService(HANG)
    task = asyncio.ensure_future(wire(service).ask("POST", STREAM, framed_infer(), GRPC))
    await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert service.running == 0


async def test_each_request_of_a_stream_is_one_of_the_policy_in_force():
    """Whoever has lost access loses it on the streams that are open, too."""

    async def refuses(_request: Request) -> Response:
        raise GatewayError(Fault.UNAUTHENTICATED, "a key is needed")

    generations = [FakeGeneration(EchoService(), 1), FakeGeneration(refuses, 2)]

    async def sent() -> AsyncIterator[bytes]:
        yield framed_infer("before")
        generations.pop(0)
        yield framed_infer("after")

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
            yield framed_infer(each)
        await asyncio.Event().wait()

    stream = Parts(sent())
    return stream, asyncio.create_task(wire(service).ask("POST", STREAM, stream, GRPC | headers))


@virtual_time
async def test_requests_of_a_stream_are_under_way_together():
    """So that they can be batched; up to a bound, in their order, and each is needed until it is answered."""
    service, ids = Gated(), [f"{number}" for number in range(CONCURRENT + 2)]
    stream, call = conversation(service, *ids)
    await asyncio.sleep(1)
    assert service.running == ids[:CONCURRENT]

    service.gates["1"].set()
    await asyncio.sleep(1)
    assert (service.running, stream.needless) == (["0", *ids[2:CONCURRENT]], 0)

    service.gates["0"].set()
    await asyncio.sleep(1)
    assert (service.running, stream.needless) == (ids[2:], len(framed_infer("0")) + len(framed_infer("1")))

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert service.running == []


@virtual_time
async def test_steps_of_a_sequence_are_taken_one_after_the_other():
    """A model with state may be at the other end; those of other sequences, and models, are not in their way."""
    service = Gated()

    async def sent() -> AsyncIterator[bytes]:
        yield (
            framed_infer("free")
            + framed_infer("1", sequence_id=7)
            + framed_infer("2", sequence_id=7)
            + framed_infer("other", sequence_id=8)
            + framed_infer("3", sequence_id=7)
            + framed_infer("4")
        )
        await asyncio.Event().wait()

    call = asyncio.create_task(wire(service).ask("POST", STREAM, sent(), GRPC))
    for gate, running in (
        ("", ["free", "1", "other", "4"]),
        ("1", ["free", "other", "4", "2"]),
        ("2", ["free", "other", "4", "3"]),
    ):
        service.gates[gate].set()
        await asyncio.sleep(1)
        assert service.running == running
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_answers_come_in_the_order_of_the_requests():
    service = Gated()
    for gate in ("b", "a"):
        service.gates[gate].set()
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])

    async def sent() -> AsyncIterator[bytes]:
        yield framed_infer("c") + framed_infer("b") + framed(wrong) + framed_infer("a")
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
        yield framed(wrong) + framed_infer("a") + framed_infer("b")
        await asyncio.sleep(99)

    reply = await wire(service).ask("POST", STREAM, sent(), GRPC | {"triton_grpc_error": "true"})

    assert (reply.trailers["grpc-status"], reply.body, service.running) == ("3", b"", [])


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

    call = asyncio.create_task(
        wire(EchoService(), generation=Layered).ask(
            "POST", STREAM, framed_infer("a") + framed_infer("b"), GRPC
        )
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    gc.collect()

    assert begun == ended


async def test_refused_requests_are_counted():
    """Each once; the stream goes on."""
    telemetry = RecordingTelemetry()
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])

    reply = await wire(telemetry=telemetry).ask("POST", STREAM, framed(wrong, infer("1"), wrong), GRPC)

    assert (len(answers(reply.body)), telemetry.events) == (3, [Refused("grpc", "invalid")] * 2)
