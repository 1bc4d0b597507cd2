"""AttemptTimeout: the time that one attempt may take."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from resilience.attempt import AttemptTimeout
from resilience.deadline import Deadline
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.virtual_time import virtual_time

START = 1000.0


def attempt_timeout(limit_s: float = 5.0) -> AttemptTimeout:
    return AttemptTimeout(limit_s, LoopClock())


@virtual_time
async def test_an_answer_passes_through() -> None:
    """The answer is the service's own, at once or after a wait."""
    response = answer()

    assert await attempt_timeout()(request(), ScriptedService(response)) is response
    assert await attempt_timeout()(request(), ScriptedService(3.0)) == response


@virtual_time
async def test_the_deadline_that_is_passed_on_is_the_attempts() -> None:
    """The endpoint hears of the shorter of limit and time left."""
    service = ScriptedService()

    await attempt_timeout(5.0)(request(deadline=START + 15), service)
    await attempt_timeout(5.0)(request(deadline=START + 2), service)

    assert [seen.deadline for seen in service.requests] == [START + 5, START + 2]


@virtual_time
async def test_a_slow_endpoint_is_to_blame() -> None:
    """Past the attempt's limit: evidence against the endpoint, and another may try."""
    service = ScriptedService(HANG)

    with pytest.raises(GatewayError) as caught:
        await attempt_timeout(5.0)(request(deadline=START + 15), service)

    assert repr(caught.value) == (
        "GatewayError(deadline, 'the endpoint did not answer in time', retryable, counts)"
    )
    assert asyncio.get_running_loop().time() == START + 5
    assert service.running == 0


@virtual_time
async def test_a_short_deadline_is_nobodys_fault() -> None:
    """Past the request's own deadline: no evidence, and no time to try again."""
    with pytest.raises(GatewayError) as caught:
        await attempt_timeout(5.0)(request(deadline=START + 2), ScriptedService(HANG))

    assert caught.value.fault is Fault.DEADLINE
    assert not caught.value.retryable
    assert not caught.value.counts
    assert asyncio.get_running_loop().time() == START + 2


@virtual_time
async def test_the_deadline_above_wins_a_draw() -> None:
    """When both limits end at the same moment the caller hears of its own deadline, and only once."""
    inner, service = attempt_timeout(2.0), ScriptedService(HANG)

    async def rest(seen: object) -> object:
        return await inner(seen, service)  # type: ignore[arg-type]

    with pytest.raises(GatewayError) as caught:
        await Deadline(2.0, LoopClock())(request(), rest)  # type: ignore[arg-type]

    assert not caught.value.counts
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@virtual_time
async def test_faults_and_cancellations_pass_through() -> None:
    """What the service raises, and a caller who leaves, are not the attempt's."""
    fault, hanging = GatewayError(Fault.INVALID, "bad"), ScriptedService(HANG)
    caller = asyncio.create_task(attempt_timeout()(request(), hanging))
    await asyncio.sleep(1)

    caller.cancel()
    (outcome,) = await asyncio.gather(caller, return_exceptions=True)
    with pytest.raises(GatewayError) as caught:
        await attempt_timeout()(request(), ScriptedService(fault))

    assert isinstance(outcome, asyncio.CancelledError)
    assert hanging.running == 0
    assert caught.value is fault
    assert repr(attempt_timeout()) == "<AttemptTimeout 5 s>"


@virtual_time
async def test_an_answer_that_is_there_needs_no_timer() -> None:
    """An endpoint that need not be waited for is not."""
    there = answer("edge")

    assert await AttemptTimeout(1.0, LoopClock())(request(), lambda _: there) is there


@virtual_time
async def test_who_takes_our_limit_for_the_callers_deadline_is_corrected() -> None:
    """A server that gives up in the moment before the limit was too slow all the same."""
    late = GatewayError(Fault.DEADLINE, "endpoint 'far' did not answer in time")

    for limit_s, ours in ((5.0, True), (20.0, False)):
        with pytest.raises(GatewayError) as caught:
            await attempt_timeout(limit_s)(request(deadline=START + 15), ScriptedService(late))
        assert (caught.value.counts, caught.value.retryable) == (ours, ours)
