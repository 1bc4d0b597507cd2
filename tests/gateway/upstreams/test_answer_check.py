"""An answer that is not the model's is a failure of its endpoint, and is compared with what is known there."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from msgspec.structs import replace

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Response
from gateway.core.tensor import Tensor
from gateway.upstreams.answer_check import LEARN_AGAIN_S, LEARNED_S, AnswerCheck
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.upstreams import fails
from tests.fakes.virtual_time import virtual_time

WIDE = replace(answer(), outputs=(Tensor.from_numpy("probabilities", np.zeros((1, 4), np.float32)),))


class Metadata:
    """Says that the output has ``width`` columns, or raises; ``wait_s``: before each answer."""

    def __init__(self, width: int | GatewayError | ValueError = 3, wait_s: float = 0.0) -> None:
        self.width, self.wait_s, self.asked = width, wait_s, 0

    async def describe(self, model: str, version: str) -> ModelSpec:
        self.asked += 1
        await asyncio.sleep(self.wait_s)
        if isinstance(self.width, Exception):
            raise self.width
        return ModelSpec(model, (version,), "", (), (TensorSpec("probabilities", "FP32", (-1, self.width)),))

    async def is_ready(self, _model: str, _version: str) -> bool:
        raise AssertionError("nobody has a use for it")


class Endpoint:
    def __init__(self, metadata: Metadata | None, *steps: Response | GatewayError) -> None:
        self.check = AnswerCheck("far", metadata, VirtualClock())
        self.service = ScriptedService(*steps)
        self.call = stack(self.check, service=self.service)

    async def knows(self) -> None:
        """Have the signature learned, by an answer that is right."""
        await self.call(request())
        await asyncio.sleep(0.1)


@virtual_time
async def test_what_contradicts_the_signature_is_evidence_against_the_model() -> None:
    """The error is retried elsewhere, and counts for this model at this endpoint alone."""
    endpoint = Endpoint(Metadata(), answer(), WIDE)
    await endpoint.knows()

    error = await fails(endpoint.call(request()))

    assert (error.fault, error.retryable, error.counts) == (Fault.UNAVAILABLE, True, True)
    assert error.why is not None
    assert (error.why.answered, error.why.of_model) == (True, True)
    assert "another shape" in error.message


@virtual_time
@pytest.mark.parametrize("width", [3, GatewayError(Fault.NOT_FOUND, "no metadata"), ValueError("broken")])
async def test_the_first_question_is_one_until_it_is_answered(width: int | Exception) -> None:
    """However; those that follow are not the first."""
    endpoint = Endpoint(Metadata(width, wait_s=1.0))
    assert not endpoint.check.is_first_question("digits", "")

    await endpoint.call(request())
    assert endpoint.check.is_first_question("digits", "")
    await asyncio.sleep(1.1)
    assert not endpoint.check.is_first_question("digits", "")
    await asyncio.sleep(60)
    await endpoint.call(request())
    assert not endpoint.check.is_first_question("digits", "")
    await endpoint.check.aclose()


@pytest.mark.parametrize(
    ("response", "changes"),
    [
        (replace(answer(), model="umbrella"), {}),
        (answer(), {"version": "7"}),
        (answer(), {"outputs": ("label",)}),
    ],
    ids=["model", "version", "output"],
)
@virtual_time
async def test_what_does_not_fit_the_request_is_no_evidence(response: Response, changes) -> None:
    """A caller may want what is not there, of a server that gives something else instead."""
    endpoint = Endpoint(Metadata(), response)

    error = await fails(endpoint.call(request(**changes)))

    assert (error.fault, error.retryable, error.counts) == (Fault.UNAVAILABLE, True, False)


@virtual_time
async def test_no_answer_waits_for_a_signature() -> None:
    """The first goes through though the metadata take their time; they are read once."""
    metadata = Metadata(wait_s=5.0)
    endpoint = Endpoint(metadata, WIDE)
    began = asyncio.get_running_loop().time()

    await asyncio.gather(*(endpoint.call(request()) for _ in range(5)))

    assert asyncio.get_running_loop().time() == began
    await asyncio.sleep(6)
    assert metadata.asked == 1
    await fails(endpoint.call(request()))


@virtual_time
async def test_a_model_that_was_replaced_is_learned_anew_before_its_answer_is_refused() -> None:
    """A contradiction is looked into, at most once a second; else a signature holds for a minute."""
    metadata = Metadata()
    endpoint = Endpoint(metadata, answer(), WIDE)
    await endpoint.knows()
    metadata.width = 4
    await asyncio.sleep(LEARN_AGAIN_S)

    assert await endpoint.call(request()) == WIDE
    assert metadata.asked == 2
    endpoint.service.steps = [answer()]
    for _ in range(9):
        await fails(endpoint.call(request()))
    assert metadata.asked == 2
    endpoint.service.steps = [WIDE]
    await asyncio.sleep(LEARNED_S)
    await endpoint.call(request())
    await asyncio.sleep(0.1)
    assert metadata.asked == 3


@pytest.mark.parametrize("width", [GatewayError(Fault.NOT_FOUND, "no"), ValueError("bug")])
@virtual_time
async def test_without_metadata_answers_go_on(width) -> None:
    """Nothing is known, so nothing contradicts it."""
    endpoint = Endpoint(Metadata(width), answer())
    await endpoint.knows()
    endpoint.service.steps = [WIDE]

    assert await endpoint.call(request()) == WIDE
    assert repr(endpoint.check) == "<AnswerCheck of far, 0 signatures>"


@virtual_time
async def test_another_gateway_is_never_asked() -> None:
    """Its answers are compared with the request alone."""
    endpoint = Endpoint(None, WIDE)

    assert await endpoint.call(request()) == WIDE
    assert endpoint.check.signature("digits", "") is None


@virtual_time
async def test_a_caller_who_leaves_takes_no_question_along() -> None:
    """Cancelled in the call, or while a contradiction is looked into."""
    metadata = Metadata()
    endpoint = Endpoint(metadata, answer(), WIDE, HANG)  # type: ignore[arg-type]
    await endpoint.knows()
    metadata.wait_s, metadata.width = 5.0, 4
    await asyncio.sleep(LEARN_AGAIN_S)
    leaving = asyncio.create_task(endpoint.call(request()))
    await asyncio.sleep(0.1)
    leaving.cancel()
    hanging = asyncio.create_task(endpoint.call(request()))
    await asyncio.sleep(0.1)
    hanging.cancel()
    await asyncio.wait([leaving, hanging])

    await asyncio.sleep(5)
    spec = endpoint.check.signature("digits", "")
    assert spec is not None
    assert (leaving.cancelled(), hanging.cancelled(), spec.outputs[0].shape) == (True, True, (-1, 4))
    assert endpoint.service.running == 0


@virtual_time
async def test_closing_ends_the_questions() -> None:
    """Nothing is left running."""
    endpoint = Endpoint(Metadata(wait_s=1e9), answer())
    await endpoint.knows()

    await endpoint.check.aclose()

    assert len(asyncio.all_tasks()) == 1


@virtual_time
async def test_invented_names_do_not_fill_the_memory() -> None:
    """The oldest gives way."""
    endpoint = Endpoint(Metadata(), replace(answer(), model="", version=""))
    for number in range(300):
        await endpoint.call(request(version=str(number)))
    await asyncio.sleep(0.1)

    assert repr(endpoint.check) == "<AnswerCheck of far, 256 signatures>"
    assert endpoint.check.signature("digits", "299") is not None
