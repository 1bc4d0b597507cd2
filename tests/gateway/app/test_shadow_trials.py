"""Copies of answered requests: sent, compared, counted, and in the log without values."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from gateway.app import shadow_trials
from gateway.app.shadow_trials import SMALL_BYTES, ShadowTrials
from gateway.core.agreement import Tolerance, difference
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance, Response
from gateway.core.telemetry import ShadowFinished
from gateway.core.tensor import Tensor
from resilience.settings import ShadowSettings
from resilience.shadows import Shadows
from routing.mirror import Mirrored
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

DOWN = GatewayError(Fault.UNAVAILABLE, "connect to 10.1.2.3 failed for 'secret'")


class Trial:
    """The trials of one route, with two endpoints."""

    def __init__(
        self, *, in_flight: int = 1, waiting: int = 2, settings: ShadowSettings | None = None
    ) -> None:
        self.telemetry, self.out = RecordingTelemetry(), set[str]()
        self.mirrors = {"near": ScriptedService(), "far": ScriptedService()}
        self.shadows = Shadows(settings or ShadowSettings())
        self.trials = ShadowTrials(
            "digits",
            self.shadows.queue(max_in_flight=in_flight, max_waiting=waiting),
            mirrors=self.mirrors,
            is_available=lambda name: name not in self.out,
            tolerance=Tolerance(rtol=0.01),
            clock=VirtualClock(),
            telemetry=self.telemetry,
        )

    def follow(self, response: Response | None = None, *, timeout_s: float = 5.0, **changes: Any) -> None:
        deadline = asyncio.get_running_loop().time() + timeout_s
        copy = request(**{"deadline": deadline, "version": "2", **changes})
        self.trials(Mirrored(copy, ("near", "far"), response or answer(), 0.25))

    async def result(self, response: Response | None = None, **changes: Any) -> ShadowFinished:
        """Follow one answer until it has a result."""
        before = len(self.telemetry.events)
        self.follow(response, **changes)
        await asyncio.sleep(10)
        (found,) = self.telemetry.of(ShadowFinished)[before:]
        return found


@virtual_time
async def test_answers_that_agree_and_that_differ() -> None:
    """With the time that the shadow's took longer than the caller's."""
    trial = Trial()
    trial.mirrors["near"].steps = [answer(value=1.001), answer(value=1.1), 1.0, 0.0]

    results = [
        await trial.result(answer(value=1.0)),
        await trial.result(answer(value=1.0)),
        await trial.result(),
        await trial.result(),
    ]

    assert results == [
        ShadowFinished("digits", "agreed", -0.25),
        ShadowFinished("digits", "differed", -0.25),
        ShadowFinished("digits", "agreed", pytest.approx(0.75)),
        ShadowFinished("digits", "agreed", -0.25),
    ]
    assert trial.mirrors["far"].requests == []
    assert repr(trial.trials).endswith("3 agreed, 1 differed")


@pytest.mark.parametrize(
    ("step", "result"),
    [
        (DOWN, "failed"),
        (GatewayError(Fault.NOT_FOUND, "no version 2"), "failed"),
        (GatewayError(Fault.DEADLINE, "too late"), "timeout"),
        (HANG, "timeout"),
    ],
    ids=["down", "no such version", "its own deadline", "silent"],
)
@virtual_time
async def test_what_gives_no_answer_is_not_tried_again(step: Any, result: str) -> None:
    """Neither there nor elsewhere."""
    trial = Trial()
    trial.mirrors["near"].steps = [step]

    assert await trial.result() == ShadowFinished("digits", result)

    assert (len(trial.mirrors["near"].requests), trial.mirrors["far"].requests) == (1, [])
    assert trial.mirrors["near"].running == 0


@virtual_time
async def test_it_goes_to_the_first_that_is_available_when_it_is_sent() -> None:
    """And nowhere where none is."""
    trial = Trial()
    trial.out = {"near"}
    assert (await trial.result()).result == "agreed"
    trial.out = {"near", "far"}

    assert await trial.result() == ShadowFinished("digits", "unavailable")
    assert [len(each.requests) for each in trial.mirrors.values()] == [0, 1]


@virtual_time
async def test_a_slow_shadow_holds_few_copies_and_drops_the_rest() -> None:
    """One runs and two wait, of which one has no time left when its turn comes."""
    trial = Trial()
    trial.mirrors["near"].steps = [HANG]

    for timeout_s in (3.0, 2.0, 4.0, 9.0, 9.0):
        trial.follow(timeout_s=timeout_s)
    assert [each.result for each in trial.telemetry.of(ShadowFinished)] == ["dropped", "dropped"]
    await asyncio.sleep(10)

    assert [each.result for each in trial.telemetry.of(ShadowFinished)][2:] == [
        "timeout",
        "dropped",
        "timeout",
    ]
    assert len(trial.mirrors["near"].requests) == 2


@virtual_time
async def test_bytes_of_both_requests_and_answers_count() -> None:
    """What finds no room in memory is dropped, however short the queue is."""
    trial = Trial(settings=ShadowSettings(max_mib=1))
    large, other = (Tensor.from_numpy("image", np.zeros((1, 150_000), np.float32)) for _ in range(2))

    def answered(*outputs: Tensor) -> Response:
        return Response("digits", "1", outputs, Provenance("central"))

    assert (await trial.result(answered(other), inputs=(large,))).result == "dropped"
    assert (await trial.result(answered(), inputs=(large,))).result == "differed"


@virtual_time
async def test_the_process_leaves_in_the_middle() -> None:
    """What runs and what waits counts as dropped."""
    trial = Trial()
    trial.mirrors["near"].steps = [HANG]
    trial.follow()
    trial.follow()
    await asyncio.sleep(1)

    await trial.shadows.aclose()

    assert [each.result for each in trial.telemetry.of(ShadowFinished)] == ["dropped", "dropped"]
    assert trial.mirrors["near"].running == 0


@pytest.mark.parametrize(("floats", "is_here"), [(SMALL_BYTES // 4, True), (SMALL_BYTES // 4 + 1, False)])
async def test_large_answers_are_compared_beside_the_loop(
    monkeypatch: pytest.MonkeyPatch, floats: int, is_here: bool
) -> None:
    """Small ones on it: a thread costs more than they do."""
    trial, threads = Trial(), list[int]()

    def compare(*arguments: Any) -> Any:
        threads.append(threading.get_ident())
        return difference(*arguments)

    monkeypatch.setattr(shadow_trials, "difference", compare)
    outputs = (Tensor.from_numpy("y", np.zeros(floats, np.float32)),)
    trial.mirrors["near"].steps = [Response("digits", "2", outputs, Provenance("central"))]
    trial.follow(trial.mirrors["near"].steps[0], timeout_s=30)
    async with asyncio.timeout(30):
        while not trial.telemetry.events:
            await asyncio.sleep(0.005)

    assert [each.result for each in trial.telemetry.of(ShadowFinished)] == ["agreed"]
    assert [thread == threading.get_ident() for thread in threads] == [is_here]


@virtual_time
async def test_answers_that_cannot_be_compared_have_failed() -> None:
    """Nothing of it reaches the loop as an exception."""
    cut = Tensor("probabilities", "BYTES", (1,), b"\x05\0\0\0ab")
    response = Response("digits", "1", (cut,), Provenance("central"))
    trial = Trial()
    trial.mirrors["near"].steps = [response]

    assert await trial.result(response) == ShadowFinished("digits", "failed")


@virtual_time
async def test_the_log_has_the_first_and_ever_fewer(caplog: pytest.LogCaptureFixture) -> None:
    """The 1st, 2nd, 4th, 8th …, for differences and failures each; the route, the request, and no value."""
    trial = Trial()
    trial.mirrors["near"].steps = [answer(value=0.77)] * 20 + [DOWN] * 3
    for number in range(23):
        await trial.result(answer(value=1234.5), id=f"q{number}\nx")

    lines = [record.getMessage() for record in caplog.records if record.name == "edgeway.shadow"]

    assert [line.rsplit("; ", 1)[1] for line in lines] == [
        *(f"{count} so far" for count in (1, 2, 4, 8, 16)),
        *(f"{count} so far" for count in (1, 2)),
    ]
    assert lines[0] == (
        "shadow of route digits (version 2): the answer of near differs: output 'probabilities' differs in "
        "3 of 3 values, request q0?x; 1 so far"
    )
    assert not any(secret in line for line in lines for secret in ("0.77", "1234", "secret", "10.1.2.3"))


@virtual_time
async def test_a_copy_without_id_and_version_is_told_without(caplog: pytest.LogCaptureFixture) -> None:
    """There is nothing to name."""
    trial = Trial()
    trial.mirrors["near"].steps = [GatewayError(Fault.INTERNAL, "broken")]

    await trial.result(version="")

    assert caplog.messages == ["shadow of route digits: near failed: broken; 1 so far"]


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"note": "x" * (2 << 20)}},
        {"inputs": (Tensor("image", "UINT8", (1,), memoryview(bytes(2 << 20))[:1]),)},
    ],
    ids=["parameters", "a view of a large body"],
)
@virtual_time
async def test_what_a_copy_holds_counts_and_not_what_it_shows(changes: dict[str, Any]) -> None:
    """Else a client could have a gateway hold many times what ``max_mib`` says."""
    trial = Trial(settings=ShadowSettings(max_mib=1))

    assert (await trial.result(**changes)).result == "dropped"


@virtual_time
async def test_a_copy_keeps_no_objects_that_were_made_for_a_model() -> None:
    """Each text of a tensor is an object of its own there."""
    trial = Trial()
    texts = Tensor("image", "BYTES", (1,), b"\x01\0\0\0a")
    seen = texts.numpy()

    await trial.result(inputs=(texts,))

    (copied,) = trial.mirrors["near"].requests[0].inputs
    assert copied == texts
    assert copied.numpy() is not seen
