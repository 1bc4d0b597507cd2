"""Steps of sequences, and a Predictor that runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_models.executors import ThreadExecutor
from edge_models.predictor import Predictor
from edge_models.settings import BatchingSettings
from gateway.core.clock import LoopClock
from gateway.core.errors import GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.tensor import Tensor
from tests.edge_models.executors import Instant
from tests.fakes.telemetry import RecordingTelemetry

START, END = {"sequence_start": True}, {"sequence_end": True}


def predictor(registry, executor=None, telemetry=None, **batching: BatchingSettings) -> Predictor:
    return Predictor(
        registry,
        ThreadExecutor(1, executor=executor or Instant()),
        batching=batching,
        region="eu-west",
        origin="central",
        clock=LoopClock(),
        telemetry=telemetry or RecordingTelemetry(),
    )


def step(value: int, number: int | str = 7, *, model="sums", tenant="a", outputs=(), **parameters) -> Request:
    array = np.array([[value]], np.int32)
    return Request(
        model,
        (Tensor.from_numpy("INPUT", array),),
        outputs=outputs,
        parameters={"sequence_id": number, **parameters},
        caller=Caller(tenant=tenant),
    )


def value_of(response: Response, name: str = "OUTPUT") -> Any:
    return next(output for output in response.outputs if output.name == name).numpy().item()


async def sums(subject, *steps: Request) -> list[int]:
    return [value_of(await subject(each)) for each in steps]


async def refused(subject, request: Request) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await subject(request)
    return caught.value


MUST_START = (
    "inference request for sequence 7 to model 'sums' must specify the START flag on the first request of the "
    "sequence"
)


async def answered(subject: Predictor, request: Request) -> Response:
    return await subject(request)
