"""What is passed on to an endpoint that has labels, and what is not."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from msgspec.structs import replace

from gateway.core.classes import is_classified
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Response
from gateway.core.tensor import Tensor
from gateway.upstreams.answer_configs import WAIT_S, AnswerConfigs
from gateway.upstreams.endpoint_classes import EndpointClasses
from tests.fakes.clock import VirtualClock
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.virtual_time import virtual_time

LABELLED = b'{"output": [{"name": "probabilities", "label_filename": "l.txt"}, {"name": "other"}]}'
TEXTS = Tensor.from_numpy("probabilities", np.array([b"0.9:1:dog"], dtype=object))
MADE = replace(answer(), outputs=(TEXTS,))
WANTED = {"outputs": ("probabilities",), "classes": {"probabilities": 2}}


class Central:
    def __init__(self, config: bytes | GatewayError, *answers: Response, wait_s: float = 0.1) -> None:
        self.said, self.wait_s, self.asked = config, wait_s, 0
        self.configs = AnswerConfigs("far", self, VirtualClock(), self.forget)  # type: ignore[arg-type]
        self.service = ScriptedService(*answers)
        self.ask = stack(EndpointClasses(self.configs), service=self.service)

    async def config(self, _model: str, _version: str) -> bytes:
        self.asked += 1
        await asyncio.sleep(self.wait_s)
        if isinstance(self.said, GatewayError):
            raise self.said
        return self.said

    async def forget(self, _model: str) -> None:
        raise AssertionError("it may be kept")


@virtual_time
async def test_classes_of_labelled_outputs_are_the_endpoints() -> None:
    """From the first request on; what the client says of its outputs goes along."""
    central = Central(LABELLED, MADE)
    told = {"probabilities": {"content_type": "np"}, "other": {"a": 1}}

    first = await central.ask(request(**WANTED, output_parameters=told))

    assert [is_classified(output) for output in first.outputs] == [True]
    assert central.service.requests[0].output_parameters == {
        "probabilities": {"content_type": "np", "classification": 2},
        "other": {"a": 1},
    }
    await central.ask(request(**WANTED))
    assert central.asked == 1


@virtual_time
@pytest.mark.parametrize(
    "changes",
    [{}, {"classes": {"probabilities": 0}}, {"outputs": ("other",), "classes": {"other": 2}}],
)
async def test_all_else_passes_by(changes: dict[str, object]) -> None:
    """Without classes nobody is asked anything."""
    central = Central(LABELLED, answer())
    sent = request(**changes)

    assert await central.ask(sent) == answer()
    assert central.service.requests == [sent]
    assert central.asked == bool(changes)


@virtual_time
async def test_server_that_does_not_classify_is_classified_here() -> None:
    """It has ignored what it was asked for."""
    central = Central(LABELLED, answer())

    assert await central.ask(request(**WANTED)) == answer()


@virtual_time
@pytest.mark.parametrize("config", [b"{}", GatewayError(Fault.NOT_FOUND, "none"), b"nonsense"])
async def test_without_labels_nothing_is_passed_on(config: bytes | GatewayError) -> None:
    central = Central(config, answer())
    await central.ask(request(**WANTED))

    assert central.service.requests == [request(**WANTED)]
    assert central.configs.is_heard("digits")


@virtual_time
async def test_slow_configuration_is_waited_for_a_moment() -> None:
    """Once, and a caller who leaves does not keep the others from it."""
    central = Central(LABELLED, answer(), answer(), MADE, wait_s=5.0)
    leaving = asyncio.create_task(central.ask(request(**WANTED)))  # type: ignore[arg-type]
    await asyncio.sleep(0.5)
    leaving.cancel()
    loop = asyncio.get_running_loop()
    before = loop.time()

    assert await central.ask(request(**WANTED)) == answer()
    assert loop.time() == pytest.approx(before + WAIT_S)
    assert not central.configs.is_heard("digits")

    await asyncio.sleep(5)
    central.service = ScriptedService(MADE)
    made = await stack(EndpointClasses(central.configs), service=central.service)(request(**WANTED))
    assert is_classified(made.outputs[0])
    assert central.asked == 1
