"""Deadline: the time by which a request must be answered."""

from __future__ import annotations

import asyncio
import math

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from resilience.deadline import Deadline
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.virtual_time import virtual_time

START = 1000.0


def deadline(timeout_s: float = 15.0, max_timeout_s: float | None = None) -> Deadline:
    return Deadline(timeout_s, LoopClock(), max_timeout_s=max_timeout_s)


@virtual_time
async def test_an_answer_passes_through() -> None:
    """The answer is the service's own, at once or after a wait."""
    response = answer("edge")

    assert await deadline()(request(), ScriptedService(response)) is response
    assert await deadline()(request(), ScriptedService(3.0)) == answer()


@pytest.mark.parametrize(
    ("wanted", "max_timeout_s", "given"),
    [
        (math.inf, None, 15.0),
        (5.0, None, 5.0),
        (40.0, None, 15.0),
        (math.inf, 60.0, 15.0),
        (40.0, 60.0, 40.0),
        (90.0, 60.0, 60.0),
    ],
)
def test_the_deadline_that_is_passed_on(wanted: float, max_timeout_s: float | None, given: float) -> None:
    """None asked: the default. Asked: that, but no more than the maximum, which is the default unless set."""

    @virtual_time
    async def check() -> None:
        service = ScriptedService()

        await deadline(15.0, max_timeout_s)(request(deadline=START + wanted), service)

        assert service.requests[0].deadline == START + given

    check()


@virtual_time
async def test_a_request_in_time_is_passed_on_as_it_is() -> None:
    """A request whose deadline is near enough is not copied."""
    service = ScriptedService()
    wanted = request(deadline=START + 1)

    await deadline()(wanted, service)

    assert service.requests[0] is wanted


@virtual_time
async def test_an_expired_request_does_no_work() -> None:
    """Past the deadline the service is not even called."""
    service = ScriptedService()

    with pytest.raises(GatewayError) as caught:
        await deadline()(request(deadline=START), service)

    assert repr(caught.value) == (
        "GatewayError(deadline, 'the deadline had passed when the request arrived')"
    )
    assert service.requests == []


@virtual_time
async def test_a_hanging_service_is_cut_off() -> None:
    """At the deadline the call below is cancelled and the fault says whose time it was."""
    service = ScriptedService(HANG)

    with pytest.raises(GatewayError) as caught:
        await deadline(15.0)(request(), service)

    assert caught.value.fault is Fault.DEADLINE
    assert not caught.value.counts
    assert not caught.value.retryable
    assert asyncio.get_running_loop().time() == START + 15
    assert service.running == 0


@virtual_time
async def test_failures_pass_through() -> None:
    """A fault from below, immediate or late, is not the deadline's."""
    fault = GatewayError(Fault.UNAVAILABLE, "down", retryable=True)

    async def late(_: object) -> None:
        await asyncio.sleep(1)
        raise TimeoutError("a library's own")

    with pytest.raises(GatewayError) as caught:
        await deadline()(request(), ScriptedService(fault))
    with pytest.raises(TimeoutError, match="a library's own"):
        await deadline()(request(), late)  # type: ignore[arg-type]

    assert caught.value is fault


@virtual_time
async def test_a_caller_who_leaves_is_no_deadline() -> None:
    """The caller's cancellation passes through as it is, and the service is let go."""
    service = ScriptedService(HANG)
    caller = asyncio.create_task(deadline()(request(), service))
    await asyncio.sleep(1)

    caller.cancel()
    (outcome,) = await asyncio.gather(caller, return_exceptions=True)

    assert isinstance(outcome, asyncio.CancelledError)
    assert service.running == 0


@virtual_time
async def test_each_request_has_its_own_time() -> None:
    """One that is cut off does not touch its neighbours."""
    service = ScriptedService(HANG, 2.0, HANG)
    limit = deadline()

    outcomes = await asyncio.gather(
        limit(request(deadline=START + 1), service),
        limit(request(deadline=START + 3), service),
        limit(request(deadline=START + 4), service),
        return_exceptions=True,
    )

    assert [type(outcome).__name__ for outcome in outcomes] == ["GatewayError", "Response", "GatewayError"]
    assert repr(limit) == "<Deadline 15 s, at most 15 s>"
