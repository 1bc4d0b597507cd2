"""Which failures are worth another attempt."""

from __future__ import annotations

from typing import get_args

import pytest

from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.retry_conditions import RETRY_ON, RetryCondition, retries
from gateway.upstreams.failures import Failures
from resilience.attempt import AttemptTimeout
from tests.fakes.clock import VirtualClock
from tests.fakes.service import ScriptedService, request
from tests.fakes.virtual_time import virtual_time

FAILURES = Failures("central")
TIMED_OUT = GatewayError(Fault.DEADLINE, "slow", retryable=True, counts=True, why=Why("timeout"))

FOUND: list[tuple[GatewayError, set[RetryCondition]]] = [
    (FAILURES.lost(ConnectionRefusedError(111, "refused")), {"connect_failure", "reset"}),
    (FAILURES.lost(TimeoutError()), {"connect_failure", "reset"}),
    (FAILURES.lost(OSError(113, "no route")), {"connect_failure", "reset"}),
    (FAILURES.lost(ConnectionResetError(104, "reset")), {"reset"}),
    (FAILURES.of(Fault.UNAVAILABLE, status="503"), set()),
    (FAILURES.of(Fault.UNAVAILABLE, status="502"), set()),
    (FAILURES.of(Fault.FORBIDDEN), set()),
    (FAILURES.broken(), set()),
    (FAILURES.misfit("no output"), set()),
    (FAILURES.closed(), set()),
]
"""Those that are unavailable; beside their own conditions each meets three."""

OTHERS: list[tuple[GatewayError, set[RetryCondition]]] = [
    (TIMED_OUT, {"reset", "deadline_exceeded", "gateway_error", "5xx"}),
    (FAILURES.of(Fault.DEADLINE, status="504"), {"deadline_exceeded", "gateway_error", "5xx"}),
    (FAILURES.of(Fault.OVERLOADED, status="429"), {"resource_exhausted"}),
    (GatewayError(Fault.OVERLOADED, "our queue is full", retryable=True), {"resource_exhausted"}),
    (FAILURES.of(Fault.INTERNAL, status="500"), {"internal", "5xx"}),
]

NEVER = [
    FAILURES.late(),
    FAILURES.lacks("descriptors"),
    FAILURES.cancelled(),
    FAILURES.unreadable("a header"),
    FAILURES.too_large(1),
    FAILURES.of(Fault.INVALID),
    FAILURES.of(Fault.NOT_FOUND),
    GatewayError(Fault.INTERNAL, "a bug of ours"),
    GatewayError(Fault.UNAVAILABLE, "no endpoint is available"),
    GatewayError(Fault.UNAVAILABLE, "the member that has the state is gone", unsent=True),
]


def met(error: GatewayError) -> set[str]:
    return {each for each in get_args(RetryCondition) if retries(error, (each,))}


@pytest.mark.parametrize(
    ("error", "expected"),
    [*((error, {*own, "unavailable", "gateway_error", "5xx"}) for error, own in FOUND), *OTHERS],
)
def test_each_failure_meets_the_conditions_of_its_kind(error: GatewayError, expected: set[str]) -> None:
    assert met(error) == expected


@pytest.mark.parametrize("error", NEVER)
def test_what_no_attempt_can_change_meets_none(error: GatewayError) -> None:
    """A caller's mistake, time that is over, and what this gateway lacks."""
    assert met(error) == set()


def test_what_was_not_sent_is_tried_elsewhere_whatever_is_wanted() -> None:
    unsent = GatewayError(Fault.UNAVAILABLE, "none of its members can be used", retryable=True, unsent=True)

    assert met(unsent) == set(get_args(RetryCondition))
    assert retries(unsent, ())


def test_a_model_that_has_left_its_endpoint_is_looked_for_elsewhere() -> None:
    """Nothing was computed; nobody lists "not found" and means that they want it."""
    gone = GatewayError(Fault.NOT_FOUND, "unknown model: 'digits'", retryable=True)

    assert retries(gone, ())
    assert not retries(gone.replaced(retryable=False), get_args(RetryCondition))


def test_without_a_word_all_that_is_retryable_is_retried() -> None:
    """As before there were conditions: whatever is born as retryable, and nothing else."""
    everything = [error for error, _ in (*FOUND, *OTHERS)] + NEVER

    assert [error for error in everything if retries(error, RETRY_ON)] == [
        error for error in everything if error.retryable
    ]


@virtual_time
async def test_the_limit_of_an_attempt_is_a_deadline_without_an_answer() -> None:
    """The error that the limit itself makes, and not one that a test makes up."""
    with pytest.raises(GatewayError) as caught:
        await AttemptTimeout(1.0, VirtualClock())(request(), ScriptedService(9.0))

    assert met(caught.value) == met(TIMED_OUT)
