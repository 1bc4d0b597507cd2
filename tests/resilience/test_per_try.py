"""PerTryTimeout: the time that a route grants each attempt."""

from __future__ import annotations

import math

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.service import Filter, Service
from resilience.attempt import AttemptTimeout
from resilience.per_try import PerTryTimeout
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.virtual_time import virtual_time

START = 1000.0


def attempts(granted_s: float, limit: Filter, service: Service) -> Service:
    """What a route that grants so much sends through ``limit``."""
    return lambda sent: PerTryTimeout(granted_s)(sent, lambda noted: limit(noted, service))


@virtual_time
async def test_it_is_noted_on_the_request_and_nothing_else_changes() -> None:
    service, sent = ScriptedService(answer()), request(id="r1", deadline=START + 9)

    assert await PerTryTimeout(0.25)(sent, service) == answer()

    (seen,) = service.requests
    assert (seen.per_try_timeout_s, seen.deadline, seen.id) == (0.25, START + 9, "r1")
    assert sent.per_try_timeout_s == math.inf


@virtual_time
@pytest.mark.parametrize(
    ("granted_s", "own_s", "expected_s"),
    [(2.0, None, 2.0), (9.0, None, 9.0), (2.0, 3.0, 2.0), (9.0, 3.0, 3.0), (60.0, None, 15.0)],
)
async def test_it_stands_for_the_gateways_limit_and_within_the_endpoints(
    granted_s: float, own_s: float | None, expected_s: float
) -> None:
    """The gateway's setting is for routes that say nothing; the time of the request is above all."""
    limit = AttemptTimeout(own_s or 5.0, VirtualClock(), most_s=own_s or math.inf)
    service = ScriptedService(answer())

    await attempts(granted_s, limit, service)(request(deadline=START + 15))

    assert service.requests[0].deadline == START + expected_s


@virtual_time
async def test_an_attempt_past_it_counts_and_may_be_repeated() -> None:
    service = ScriptedService(HANG)
    limited = attempts(0.5, AttemptTimeout(5.0, VirtualClock()), service)

    with pytest.raises(GatewayError) as caught:
        await limited(request(deadline=START + 15))

    error = caught.value
    assert (error.fault, error.retryable, error.counts) == (Fault.DEADLINE, True, True)
    assert VirtualClock().now() == START + 0.5
    assert service.running == 0


@virtual_time
async def test_a_caller_with_less_time_is_to_blame_itself() -> None:
    limited = attempts(0.5, AttemptTimeout(5.0, VirtualClock()), ScriptedService(HANG))

    with pytest.raises(GatewayError) as caught:
        await limited(request(deadline=START + 0.3))

    assert (caught.value.retryable, caught.value.counts) == (False, False)


def test_it_shows_its_limit() -> None:
    assert repr(PerTryTimeout(1.5)) == "<PerTryTimeout 1.5 s>"
