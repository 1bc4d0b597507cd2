"""Measure and Timed."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.telemetry import LayerTimed, RequestFinished
from gateway.core.tensor import Tensor
from gateway.telemetry.measure import Measure, Timed
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time


@virtual_time
async def test_answer_is_reported_with_its_provenance_and_time() -> None:
    """An answer passes through untouched and is reported once."""
    telemetry = RecordingTelemetry()
    expected = answer("edge", level="l1")

    class Slow:
        async def __call__(self, _request):
            await asyncio.sleep(2)
            return expected

    response = await Measure(VirtualClock(), telemetry)(request(), Slow())

    assert response is expected
    assert telemetry.events == [RequestFinished("digits", "l1", "ok", 2.0, "1", "anonymous")]


@virtual_time
@pytest.mark.parametrize(
    ("shapes", "rows"),
    [
        ([(8, 4), (8, 3)], 8),
        ([(8, 4), (8, 2, 2), (8, 3)], 8),
        ([(224, 224, 3), (1000, 1)], 1),
        ([(8, 4), (8,)], 1),
        ([(4,), (4,)], 1),
        ([(0, 4), (0, 3)], 1),
        ([(), (8, 4)], 1),
    ],
)
async def test_rows(shapes, rows) -> None:
    """Those of all tensors, where they have as many; of a hit nobody looks."""
    telemetry = RecordingTelemetry()
    *inputs, output = [Tensor("t", "FP32", shape, b"") for shape in shapes]
    for level in ("", "l1"):
        service = ScriptedService(replace(answer("edge", level=level), outputs=(output,)))
        await Measure(VirtualClock(), telemetry)(request(inputs=tuple(inputs)), service)

    assert [event.rows for event in telemetry.events] == [rows, 1]


@virtual_time
async def test_fault_is_reported_by_name() -> None:
    """A refusal or failure counts under its fault."""
    telemetry = RecordingTelemetry()

    with pytest.raises(GatewayError):
        await Measure(VirtualClock(), telemetry)(
            request(), ScriptedService(GatewayError(Fault.DEADLINE, "late"))
        )

    assert telemetry.events == [RequestFinished("digits", "none", "deadline", 0.0, "", "anonymous")]


@virtual_time
async def test_bug_is_reported_as_internal() -> None:
    """An exception that is no fault is ours."""
    telemetry = RecordingTelemetry()

    with pytest.raises(ZeroDivisionError):
        await Measure(VirtualClock(), telemetry)(request(), ScriptedService(ZeroDivisionError()))

    assert telemetry.events == [RequestFinished("digits", "none", "internal", 0.0, "", "anonymous")]


@virtual_time
async def test_caller_who_leaves_is_neither_failure_nor_timeout() -> None:
    """A cancellation is reported as such and passes on."""
    telemetry, service = RecordingTelemetry(), ScriptedService(HANG)
    call = asyncio.ensure_future(Measure(VirtualClock(), telemetry)(request(), service))
    await asyncio.sleep(1)

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert telemetry.events == [RequestFinished("digits", "none", "cancelled", 1.0, "", "anonymous")]
    assert service.running == 0


@virtual_time
@pytest.mark.parametrize("step", [1.5, GatewayError(Fault.UNAVAILABLE, "down")], ids=["answer", "fault"])
async def test_layer_is_timed_however_it_ends(step) -> None:
    """Timed reports the layer's time for answers and failures alike."""
    telemetry = RecordingTelemetry()
    call = Timed("upstream", VirtualClock(), telemetry)(request(), ScriptedService(step))

    if isinstance(step, float):
        await call
    else:
        with pytest.raises(GatewayError):
            await call

    assert telemetry.events == [LayerTimed("upstream", step if isinstance(step, float) else 0.0)]
