"""Retry: trying again, where that may help and does no harm."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Request, Response
from gateway.core.retry_conditions import RetryCondition
from gateway.core.telemetry import RetryDenied, RetryScheduled
from resilience.attempt import AttemptTimeout
from resilience.budget import RetryBudget
from resilience.retry import Retry
from resilience.settings import BudgetSettings, RetrySettings
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import VirtualLoop, virtual_time

START = 1000.0
DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True, counts=True)


class Half:
    """Chance that always falls in the middle."""

    def random(self) -> float:
        return 0.5

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def budget(least: int = 3) -> RetryBudget:
    return RetryBudget(BudgetSettings(min_retry_concurrency=least))


def retry(telemetry: RecordingTelemetry, shared: RetryBudget | None = None, **settings) -> Retry:
    return Retry(
        RetrySettings(**settings), shared or budget(), clock=LoopClock(), chance=Half(), telemetry=telemetry
    )


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_a_first_success_passes_through(telemetry: RecordingTelemetry) -> None:
    """The request goes down as it came, at once, and nothing is reported."""
    service, sent, response = ScriptedService(answer("edge")), request(), answer("edge")

    assert await retry(telemetry)(sent, service) == response

    assert service.requests[0] is sent
    assert now() == START
    assert telemetry.events == []


@virtual_time
async def test_the_second_attempt_may_succeed(telemetry: RecordingTelemetry) -> None:
    """After a retryable failure the request is sent again as the next attempt, after a jittered wait."""
    service, shared = ScriptedService(DOWN, answer()), budget()

    response = await retry(telemetry, shared)(request(id="r1"), service)

    assert response == answer()
    assert [(seen.id, seen.attempt) for seen in service.requests] == [("r1", 0), ("r1", 1)]
    assert now() == pytest.approx(START + 0.0125)
    assert telemetry.events == [RetryScheduled(1, "unavailable", 0.0125)]
    assert repr(shared) == "<RetryBudget 0 of 3 retries, 0 requests>"


@virtual_time
async def test_a_step_of_a_sequence_is_taken_once(telemetry: RecordingTelemetry) -> None:
    """The attempt that failed may have moved the model's state."""
    service = ScriptedService(DOWN, answer())

    with pytest.raises(GatewayError, match="down"):
        await retry(telemetry)(request(parameters={"sequence_id": "s"}), service)

    assert len(service.requests) == 1


@virtual_time
async def test_attempts_count_on_from_the_requests_own(telemetry: RecordingTelemetry) -> None:
    """A request that comes as attempt 2 goes on as 3."""
    service = ScriptedService(DOWN, answer())

    await retry(telemetry)(request(attempt=2), service)

    assert [seen.attempt for seen in service.requests] == [2, 3]


@virtual_time
async def test_waits_double_up_to_the_maximum(telemetry: RecordingTelemetry) -> None:
    """The ceilings are 25, 50, 100, 200, 250, 250 ms; chance takes half of each."""
    service = ScriptedService(DOWN)

    with pytest.raises(GatewayError):
        await retry(telemetry, num_retries=6)(request(), service)

    waits = [round(event.wait_s * 1000, 6) for event in telemetry.of(RetryScheduled)]
    assert waits == [12.5, 25, 50, 100, 125, 125]


@virtual_time
async def test_when_attempts_are_used_up_the_last_failure_is_the_answer(
    telemetry: RecordingTelemetry,
) -> None:
    """The caller sees the very fault of the last attempt, not tenacity's."""
    last = GatewayError(Fault.UNAVAILABLE, "still down", retryable=True)
    service, shared = ScriptedService(DOWN, last), budget()

    with pytest.raises(GatewayError) as caught:
        await retry(telemetry, shared)(request(), service)

    assert caught.value is last
    assert len(service.requests) == 2
    assert telemetry.of(RetryDenied) == [RetryDenied("attempts")]
    assert repr(shared) == "<RetryBudget 0 of 3 retries, 0 requests>"


@virtual_time
async def test_a_route_may_have_its_own_number(telemetry: RecordingTelemetry) -> None:
    """num_retries overrides the settings; with none the first failure is final."""
    service = ScriptedService(DOWN)
    never = Retry(
        RetrySettings(), budget(), clock=LoopClock(), chance=Half(), telemetry=telemetry, num_retries=0
    )

    with pytest.raises(GatewayError):
        await never(request(), service)

    assert len(service.requests) == 1
    assert telemetry.of(RetryDenied) == [], "nobody wanted one"
    assert (
        repr(never)
        == "<Retry 0 on gateway_error resource_exhausted, <RetryBudget 0 of 3 retries, 0 requests>>"
    )


@pytest.mark.parametrize(
    "failure",
    [
        GatewayError(Fault.INVALID, "bad"),
        GatewayError(Fault.INTERNAL, "broken", counts=True),
        KeyError("bug"),
    ],
    ids=repr,
)
def test_what_is_not_retryable_is_final(failure: Exception) -> None:
    """Only the flag decides; a mistake, a broken answer and a bug are passed on, first or second."""

    @virtual_time
    async def check() -> None:
        first, second = ScriptedService(failure), ScriptedService(DOWN, failure)
        telemetry, shared = RecordingTelemetry(), budget()

        for service in (first, second):
            with pytest.raises(type(failure)) as caught:
                await retry(telemetry, shared, num_retries=3)(request(), service)
            assert caught.value is failure

        assert (len(first.requests), len(second.requests)) == (1, 2)
        assert repr(shared) == "<RetryBudget 0 of 3 retries, 0 requests>"

    check()


@virtual_time
async def test_no_retry_when_the_wait_does_not_fit(telemetry: RecordingTelemetry) -> None:
    """If the wait would end at or past the deadline, the failure is passed on now."""
    service = ScriptedService(DOWN)

    with pytest.raises(GatewayError) as caught:
        await retry(telemetry)(request(deadline=START + 0.0125), service)

    assert caught.value is DOWN
    assert now() == START
    assert telemetry.events == [RetryDenied("deadline")]


@virtual_time
async def test_retry_after_is_honoured_within_the_deadline(telemetry: RecordingTelemetry) -> None:
    """A failure that says when to come again is waited for, if the deadline allows, else passed on."""
    busy = GatewayError(Fault.OVERLOADED, "busy", retryable=True, retry_after_s=2.0)

    await retry(telemetry)(request(deadline=START + 3), ScriptedService(busy, answer()))
    with pytest.raises(GatewayError):
        await retry(telemetry)(request(deadline=START + 3), ScriptedService(busy, answer()))

    assert now() == START + 2
    assert telemetry.events == [RetryScheduled(1, "overloaded", 2.0), RetryDenied("deadline")]


@virtual_time
async def test_a_slow_attempt_is_tried_elsewhere(telemetry: RecordingTelemetry) -> None:
    """A timeout of one attempt, not of the request, is followed by another."""
    limit, service = AttemptTimeout(5.0, LoopClock()), ScriptedService(HANG, answer())

    async def rest(sent: Request) -> Response:
        return await limit(sent, service)

    response = await retry(telemetry)(request(deadline=START + 15), rest)

    assert response == answer()
    assert [event.fault for event in telemetry.of(RetryScheduled)] == ["deadline"]


@virtual_time
async def test_when_the_budget_is_spent_failures_are_passed_on(telemetry: RecordingTelemetry) -> None:
    """A broken endpoint gets the load and the budget's few retries, not twice the load."""
    shared, calls = budget(), []
    again = retry(telemetry, shared)

    async def slow_to_fail(sent: Request) -> Response:
        calls.append(sent)
        await asyncio.sleep(0.1)
        raise DOWN

    outcomes = await asyncio.gather(
        *(again(request(), slow_to_fail) for _ in range(50)), return_exceptions=True
    )

    assert all(outcome is DOWN for outcome in outcomes)
    denied = [event.reason for event in telemetry.of(RetryDenied)]
    assert denied.count("budget") == 40
    assert denied.count("attempts") == 10
    assert len(calls) == 60
    assert repr(shared) == "<RetryBudget 0 of 3 retries, 0 requests>"


UNSENT = {
    "no connection": DOWN.replaced(unsent=True),
    "circuit open": GatewayError(Fault.UNAVAILABLE, "open", retryable=True, unsent=True),
}


@virtual_time
async def test_what_was_not_sent_costs_no_budget(telemetry: RecordingTelemetry) -> None:
    """A region is lost and all its requests go on to the next: each gets there once, so none is extra load."""
    for failure in UNSENT.values():
        shared, calls = budget(0), []
        again = retry(telemetry, shared)

        async def serve(sent: Request, failure: GatewayError = failure, calls: list[int] = calls) -> Response:
            calls.append(sent.attempt)
            await asyncio.sleep(0.1)
            if not sent.attempt:
                raise failure
            return answer()

        outcomes = await asyncio.gather(*(again(request(), serve) for _ in range(50)))

        assert outcomes == [answer()] * 50
        assert sorted(calls) == [0] * 50 + [1] * 50
        assert telemetry.of(RetryDenied) == []
        assert repr(shared) == "<RetryBudget 0 of 0 retries, 0 requests>"


@virtual_time
async def test_what_was_not_sent_is_bounded_all_the_same(telemetry: RecordingTelemetry) -> None:
    """By the number of attempts, and by the deadline."""
    for failure in UNSENT.values():
        service = ScriptedService(failure)
        with pytest.raises(GatewayError):
            await retry(telemetry, budget(0), num_retries=2)(request(), service)
        assert len(service.requests) == 3

        with pytest.raises(GatewayError):
            await retry(telemetry, budget(0))(request(deadline=now() + 0.0125), service)
        assert len(service.requests) == 4

    assert {event.reason for event in telemetry.of(RetryDenied)} == {"attempts", "deadline"}


@virtual_time
async def test_an_overload_of_ours_costs_budget_though_nothing_was_sent(
    telemetry: RecordingTelemetry,
) -> None:
    """There retries prolong what they suffer from; and so does what failed on its way."""
    crowded = GatewayError(Fault.OVERLOADED, "crowded", retryable=True, unsent=True)
    for failures in ([crowded], [DOWN], [DOWN.replaced(unsent=True), DOWN]):
        service = ScriptedService(*failures, answer())
        with pytest.raises(GatewayError):
            await retry(telemetry, budget(0), num_retries=5)(request(), service)
        assert len(service.requests) == len(failures)

    assert telemetry.of(RetryDenied) == [RetryDenied("budget")] * 3


@virtual_time
async def test_a_place_is_given_back_for_an_attempt_that_costs_none(telemetry: RecordingTelemetry) -> None:
    """Sent, not sent, sent: the budget has one place, which is free while nobody needs it."""
    shared = budget(1)
    seen: list[str] = []
    script = [DOWN, DOWN.replaced(unsent=True), DOWN, answer()]

    async def serve(sent: Request) -> Response:
        seen.append(repr(shared))
        outcome = script[sent.attempt]
        if isinstance(outcome, GatewayError):
            raise outcome
        return outcome

    assert await retry(telemetry, shared, num_retries=3)(request(), serve) == answer()
    assert [text.split()[1] for text in seen] == ["0", "1", "0", "1"]
    assert repr(shared) == "<RetryBudget 0 of 1 retries, 0 requests>"


@virtual_time
async def test_a_caller_who_leaves_gives_everything_back(telemetry: RecordingTelemetry) -> None:
    """Cancelled in the first attempt, in the wait or in the second attempt: the budget is clean."""
    shared = budget()
    again = retry(telemetry, shared, base_interval_ms=200.0)
    first, waiting, second = ScriptedService(HANG), ScriptedService(DOWN), ScriptedService(DOWN, HANG)
    calls = [asyncio.create_task(again(request(), service)) for service in (first, second)]
    await asyncio.sleep(1)
    calls.append(asyncio.create_task(again(request(), waiting)))
    await asyncio.sleep(0.01)
    assert repr(shared) == "<RetryBudget 2 of 3 retries, 3 requests>"

    for call in calls:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 3
    assert first.running == second.running == 0
    assert repr(shared) == "<RetryBudget 0 of 3 retries, 0 requests>"


class Watched(RetryBudget):
    """A budget that checks itself whenever a retry begins."""

    granted = 0
    overdrawn = 0

    def take(self) -> bool:
        before = self.limit
        taken = super().take()
        self.granted += taken
        self.overdrawn += taken and self._retries > before
        return taken


lives = st.tuples(
    st.floats(0, 2),  # when it comes
    st.lists(st.floats(0, 1) | st.just("fails"), min_size=1, max_size=4),  # what happens to it
    st.floats(0.01, 3),  # how much time it has
    st.none() | st.floats(0, 2),  # when its caller leaves
)


@given(st.lists(lives, max_size=40), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_budget_holds_under_any_schedule(
    schedule: list[tuple[float, list[float | str], float, float | None]], least: int, chance: random.Random
) -> None:
    """However requests come, fail and leave: never more retries than allowed, none late, all given back."""
    shared = Watched(BudgetSettings(min_retry_concurrency=least))
    telemetry = RecordingTelemetry()
    again = Retry(RetrySettings(num_retries=3), shared, clock=LoopClock(), chance=chance, telemetry=telemetry)
    late = []

    async def one(comes: float, script: list[float | str], time_s: float, leaves: float | None) -> None:
        await asyncio.sleep(comes)
        service = ScriptedService(*(DOWN if step == "fails" else step for step in script))  # type: ignore[arg-type]
        deadline = now() + time_s

        async def rest(sent: Request) -> Response:
            if sent.attempt and now() >= deadline:
                late.append(sent)
            return await service(sent)

        call = asyncio.create_task(again(request(deadline=deadline), rest))
        if leaves is not None:
            asyncio.get_running_loop().call_later(leaves, call.cancel)
        await asyncio.gather(call, return_exceptions=True)

    async def main() -> None:
        await asyncio.gather(*(one(*life) for life in schedule))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())

    assert shared.overdrawn == 0
    assert late == []
    assert len(telemetry.of(RetryScheduled)) == shared.granted
    assert repr(shared) == f"<RetryBudget 0 of {least} retries, 0 requests>"


@virtual_time
async def test_another_endpoint_is_not_waited_for(telemetry: RecordingTelemetry) -> None:
    """How long one endpoint wants to be left alone does not concern the next."""
    failure = GatewayError(Fault.OVERLOADED, "later", retryable=True, retry_after_s=2.0, elsewhere=True)
    start = now()

    await retry(telemetry)(request(deadline=start + 10), ScriptedService(failure, answer()))

    assert now() - start < 1


@virtual_time
async def test_a_retry_knows_all_members_at_which_an_attempt_has_failed(
    telemetry: RecordingTelemetry,
) -> None:
    """Its own, and those of attempts that were made beside it; each once."""
    failures = [
        DOWN.replaced(member="central/a", others=("central/b", "spare/a")),
        DOWN.replaced(member="spare/a", others=("central/c",)),
        DOWN.replaced(others=("central/a",)),
    ]
    service = ScriptedService(*failures, answer())

    await retry(telemetry, num_retries=3)(request(), service)

    assert [seen.tried for seen in service.requests] == [
        (),
        ("central/a", "central/b", "spare/a"),
        ("central/a", "central/b", "spare/a", "central/c"),
        ("central/a", "central/b", "spare/a", "central/c"),
    ]


def of(fault: Fault, why: Why | None = None, *, retryable: bool = True) -> GatewayError:
    return GatewayError(fault, "failed", retryable=retryable, why=why)


@virtual_time
@pytest.mark.parametrize(
    ("conditions", "attempts"),
    [(("reset",), 2), (("connect_failure",), 1), (("5xx",), 3), (("internal",), 1), (None, 2)],
)
async def test_only_failures_that_the_route_names_are_followed(
    conditions: tuple[RetryCondition, ...] | None, attempts: int, telemetry: RecordingTelemetry
) -> None:
    """Each attempt anew: a reset may be followed, and the 500 after it not."""
    failed = of(Fault.INTERNAL, Why("500", answered=True, of_model=True), retryable=False)
    service = ScriptedService(of(Fault.UNAVAILABLE, Why("reset")), failed, answer())
    again = Retry(
        RetrySettings(num_retries=5),
        budget(),
        clock=LoopClock(),
        chance=Half(),
        telemetry=telemetry,
        retry_on=conditions,
    )

    if attempts == 3:
        assert await again(request(), service) == answer()
    else:
        with pytest.raises(GatewayError):
            await again(request(), service)

    assert len(service.requests) == attempts
    assert len(telemetry.of(RetryScheduled)) == attempts - 1
    assert telemetry.of(RetryDenied) == []


@virtual_time
async def test_a_sequence_is_not_repeated_whatever_the_conditions(telemetry: RecordingTelemetry) -> None:
    service = ScriptedService(DOWN, answer())
    again = retry(telemetry, retry_on=("5xx", "reset", "unavailable"))

    with pytest.raises(GatewayError):
        await again(request(parameters={"sequence_id": 7}), service)

    assert len(service.requests) == 1


@virtual_time
async def test_the_settings_have_conditions_for_routes_that_name_none(telemetry: RecordingTelemetry) -> None:
    service = ScriptedService(DOWN, answer())

    with pytest.raises(GatewayError):
        await retry(telemetry, retry_on=("resource_exhausted",))(request(), service)

    assert len(service.requests) == 1
