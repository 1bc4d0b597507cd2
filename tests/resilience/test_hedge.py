"""Hedge: another attempt beside a slow one, elsewhere, and never at the cost of the load."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Request, Response
from gateway.core.service import Service
from gateway.core.telemetry import HedgeDenied, HedgeEnded
from resilience.budget import RetryBudget
from resilience.hedge import Hedge, HedgeSettings
from resilience.latencies import Latencies
from resilience.retry import Retry
from resilience.settings import BudgetSettings, RetrySettings
from tests.fakes.clock import VirtualClock
from tests.fakes.service import answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import VirtualLoop, virtual_time

START = 1000.0
DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True, counts=True)
BAD = GatewayError(Fault.INVALID, "bad input")
BUSY = GatewayError(Fault.OVERLOADED, "busy", retryable=True)
LATE = GatewayError(Fault.DEADLINE, "late", retryable=True, counts=True, why=Why("timeout"))

Step = tuple[float, GatewayError | None]
MARK: ContextVar[str] = ContextVar("mark", default="outside")


class Members:
    """Members that answer after some seconds, or fail then; a request goes to the first it has not tried."""

    def __init__(self, **scripts: list[float | Step]) -> None:
        self.scripts = {name: list(script) for name, script in scripts.items()}
        self.sent: list[tuple[str, float]] = []
        """Name of the member, and when."""
        self.requests: list[Request] = []
        self.left: list[str] = []
        """Members whose attempt was cancelled."""
        self.marks: list[str] = []
        self.running = 0

    def has_other(self, asked: Request) -> bool:
        return any(name not in asked.tried for name in self.scripts)

    async def __call__(self, asked: Request) -> Response:
        self.marks.append(MARK.get())
        MARK.set("inside")
        name = next((each for each in self.scripts if each not in asked.tried), next(iter(self.scripts)))
        self.sent.append((name, asyncio.get_running_loop().time() - START))
        self.requests.append(asked)
        if asked.chosen is not None:
            asked.chosen.append(name)
        script = self.scripts[name]
        step = script.pop(0) if len(script) > 1 else script[0]
        seconds, error = step if isinstance(step, tuple) else (step, None)
        self.running += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.left.append(name)
            raise
        finally:
            self.running -= 1
        if error is not None:
            raise error.replaced(member=name)
        return answer(region=name)


def hedge_of(members: Members, telemetry: RecordingTelemetry, **changes: Any) -> Hedge:
    """A hedge after 10 ms, without a limit of its own, unless ``changes`` say otherwise."""
    parts = {name: changes.pop(name) for name in ("latencies", "budget") if name in changes}
    return Hedge(
        "all",
        HedgeSettings(**{"delay_s": 0.01, "budget_percent": 1000.0, **changes}),
        latencies=parts.get("latencies") or Latencies(),
        budget=parts.get("budget") or RetryBudget(BudgetSettings()),
        has_other=members.has_other,
        clock=VirtualClock(),
        telemetry=telemetry,
    )


async def settled() -> None:
    """Let those that were cancelled let go: nobody waits for them."""
    for _ in range(3):
        await asyncio.sleep(0)


async def ask(hedge: Hedge, members: Service, asked: Request | None = None) -> Response:
    try:
        return await hedge(request() if asked is None else asked, members)
    finally:
        await settled()


def now() -> float:
    return asyncio.get_running_loop().time() - START


def outcomes(telemetry: RecordingTelemetry) -> list[str]:
    return [event.outcome for event in telemetry.of(HedgeEnded)]


def denials(telemetry: RecordingTelemetry) -> list[str]:
    return [event.reason for event in telemetry.of(HedgeDenied)]


@virtual_time
async def test_a_fast_answer_needs_no_hedge(telemetry: RecordingTelemetry) -> None:
    """One attempt, no event, and no timer that is left behind."""
    members = Members(a=[0.005], b=[0.005])

    response = await ask(hedge_of(members, telemetry), members)

    assert response == answer(region="a")
    assert members.sent == [("a", 0.0)]
    assert telemetry.events == []
    assert len(asyncio.all_tasks()) == 1


@virtual_time
async def test_an_answer_that_is_there_needs_no_wait(telemetry: RecordingTelemetry) -> None:
    """A service that answers without waiting, and one that fails so."""
    members = Members(a=[0.0])
    hedge = hedge_of(members, telemetry)

    assert await hedge(request(), lambda _: answer("edge")) == answer("edge")

    async def fails(_: Request) -> Response:
        raise DOWN

    with pytest.raises(GatewayError, match="down"):
        await hedge(request(), fails)
    assert now() == 0


@virtual_time
async def test_the_hedge_wins(telemetry: RecordingTelemetry) -> None:
    """It goes elsewhere after the delay; the first attempt is cancelled, and nothing is left running."""
    members, budget = Members(a=[1.0], b=[0.005]), RetryBudget(BudgetSettings())

    response = await ask(hedge_of(members, telemetry, budget=budget), members)

    assert response == answer(region="b")
    assert now() == pytest.approx(0.015)
    assert members.sent == [("a", 0.0), ("b", pytest.approx(0.01))]
    assert members.left == ["a"]
    assert members.running == 0
    assert outcomes(telemetry) == ["won"]
    assert repr(budget) == "<RetryBudget 0 of 3 retries, 0 requests>"
    assert [(each.attempt, each.tried) for each in members.requests] == [(0, ()), (1, ("a",))]


@virtual_time
async def test_the_first_attempt_wins(telemetry: RecordingTelemetry) -> None:
    """The hedge is cancelled, and gives its place back."""
    members, budget = Members(a=[0.012], b=[1.0]), RetryBudget(BudgetSettings())

    response = await ask(hedge_of(members, telemetry, budget=budget), members)
    await settled()

    assert response == answer(region="a")
    assert now() == pytest.approx(0.012)
    assert members.left == ["b"]
    assert outcomes(telemetry) == ["lost"]
    assert repr(budget) == "<RetryBudget 0 of 3 retries, 0 requests>"


@virtual_time
async def test_both_answer_in_one_turn(telemetry: RecordingTelemetry) -> None:
    """One of the two is the answer, and the other hurts nobody."""
    members = Members(a=[0.02], b=[0.01])

    response = await ask(hedge_of(members, telemetry), members)
    await settled()

    assert response.provenance.region in {"a", "b"}
    assert len(outcomes(telemetry)) == 1
    assert members.running == 0


@pytest.mark.parametrize(("most", "sent"), [(2, ["a", "b"]), (3, ["a", "b", "c"])])
@virtual_time
async def test_so_many_attempts_are_made(most: int, sent: list[str], telemetry: RecordingTelemetry) -> None:
    """One after each delay, each elsewhere."""
    members = Members(a=[0.1], b=[0.1], c=[0.1], d=[0.1])

    response = await ask(hedge_of(members, telemetry, max_attempts=most), members)
    await settled()

    assert response == answer(region="a")
    assert members.sent == [(name, pytest.approx(0.01 * number)) for number, name in enumerate(sent)]
    assert outcomes(telemetry) == ["lost"] * (most - 1)


@virtual_time
async def test_the_second_hedge_wins(telemetry: RecordingTelemetry) -> None:
    members = Members(a=[1.0], b=[1.0], c=[0.005])

    response = await ask(hedge_of(members, telemetry, max_attempts=3), members)
    await settled()

    assert response == answer(region="c")
    assert sorted(members.left) == ["a", "b"]
    assert sorted(outcomes(telemetry)) == ["lost", "won"]


@pytest.mark.parametrize("failure", [DOWN, BAD, LATE])
@virtual_time
async def test_a_first_attempt_that_fails_waits_for_the_hedge(
    failure: GatewayError, telemetry: RecordingTelemetry
) -> None:
    """Whatever its failure says, an answer is better."""
    members = Members(a=[(0.02, failure)], b=[0.05])

    response = await ask(hedge_of(members, telemetry), members)

    assert response == answer(region="b")
    assert now() == pytest.approx(0.06)
    assert outcomes(telemetry) == ["won"]


@pytest.mark.parametrize("failure", [DOWN, BAD, LATE])
@virtual_time
async def test_a_hedge_that_fails_changes_nothing(
    failure: GatewayError, telemetry: RecordingTelemetry
) -> None:
    """The answer comes as it would have come without it."""
    members = Members(a=[0.05], b=[(0.01, failure)])

    response = await ask(hedge_of(members, telemetry), members)

    assert response == answer(region="a")
    assert now() == pytest.approx(0.05)
    assert outcomes(telemetry) == ["failed"]


@pytest.mark.parametrize(("first", "second"), [(0.02, 0.05), (0.05, 0.01)])
@virtual_time
async def test_both_fail(first: float, second: float, telemetry: RecordingTelemetry) -> None:
    """The failure is the first attempt's, and names the other member as well."""
    members = Members(a=[(first, DOWN)], b=[(second, BAD)], c=[0.001])

    with pytest.raises(GatewayError, match="down") as caught:
        await ask(hedge_of(members, telemetry), members)

    assert (caught.value.retryable, caught.value.member, caught.value.others) == (True, "a", ("b",))
    assert caught.value.elsewhere
    assert now() == pytest.approx(max(first, 0.01 + second))


@virtual_time
async def test_a_retry_goes_where_neither_has_failed(telemetry: RecordingTelemetry) -> None:
    """And is not hedged itself."""
    members = Members(a=[(0.02, DOWN)], b=[(0.02, DOWN)], c=[0.5], d=[0.001])
    hedge, budget = hedge_of(members, telemetry), RetryBudget(BudgetSettings())
    retry = Retry(
        RetrySettings(), budget, clock=VirtualClock(), chance=Random(1), telemetry=RecordingTelemetry()
    )

    response = await retry(request(), lambda asked: hedge(asked, members))

    assert response == answer(region="c")
    assert [name for name, _ in members.sent] == ["a", "b", "c"]
    assert members.requests[-1].tried == ("a", "b")


@virtual_time
async def test_a_failure_before_the_delay_is_passed_on(telemetry: RecordingTelemetry) -> None:
    """Nothing is under way beside it: what to do next is for Retry to say."""
    members = Members(a=[(0.005, DOWN)], b=[0.001])

    with pytest.raises(GatewayError, match="down"):
        await ask(hedge_of(members, telemetry), members)

    assert members.sent == [("a", 0.0)]
    await asyncio.sleep(0.1)
    assert len(members.sent) == 1


@pytest.mark.parametrize("leaves_after_s", [0.005, 0.02])
@virtual_time
async def test_a_caller_who_leaves_ends_all_attempts(
    leaves_after_s: float, telemetry: RecordingTelemetry
) -> None:
    """Before the hedge, and while both run; every place is given back."""
    members, budget = Members(a=[1.0], b=[1.0]), RetryBudget(BudgetSettings())
    hedge = hedge_of(members, telemetry, budget=budget)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(leaves_after_s):
            await ask(hedge, members)
    await settled()

    assert members.running == 0
    assert outcomes(telemetry) == (["cancelled"] if leaves_after_s > 0.01 else [])
    assert repr(budget) == "<RetryBudget 0 of 3 retries, 0 requests>"


@virtual_time
async def test_a_caller_who_leaves_while_a_hedge_is_all_that_runs(telemetry: RecordingTelemetry) -> None:
    members = Members(a=[(0.02, DOWN)], b=[1.0])
    call = asyncio.ensure_future(hedge_of(members, telemetry)(request(), members))
    await asyncio.sleep(0.03)

    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await settled()

    assert members.running == 0
    assert outcomes(telemetry) == ["cancelled"]


@virtual_time
async def test_who_is_cancelled_as_a_hedge_wins_is_cancelled(telemetry: RecordingTelemetry) -> None:
    """In the same turn: a caller who has left gets no answer."""
    members = Members(a=[1.0], b=[0.005])
    call = asyncio.ensure_future(hedge_of(members, telemetry)(request(), members))
    asyncio.get_running_loop().call_at(START + 0.015, call.cancel)

    with pytest.raises(asyncio.CancelledError):
        await call
    await settled()

    assert members.running == 0


@virtual_time
async def test_a_step_of_a_sequence_is_taken_once(telemetry: RecordingTelemetry) -> None:
    members = Members(a=[0.5], b=[0.001])

    await ask(hedge_of(members, telemetry), members, request(parameters={"sequence_id": 7}))

    assert members.sent == [("a", 0.0)]
    assert members.requests[0].chosen is None


@pytest.mark.parametrize(("left_s", "sent"), [(0.01, 1), (0.011, 2), (0.5, 2)])
@virtual_time
async def test_no_time_no_hedge(left_s: float, sent: int, telemetry: RecordingTelemetry) -> None:
    """Where the caller's time ends before the delay does, none is even prepared."""
    members = Members(a=[0.1], b=[0.1])

    await ask(hedge_of(members, telemetry), members, request(deadline=START + left_s))

    assert len(members.sent) == sent


@virtual_time
async def test_nowhere_else_no_hedge(telemetry: RecordingTelemetry) -> None:
    members = Members(a=[0.1])

    await ask(hedge_of(members, telemetry), members)

    assert members.sent == [("a", 0.0)]
    assert denials(telemetry) == ["nowhere"]


@virtual_time
async def test_no_hedge_before_the_first_attempt_has_a_member(telemetry: RecordingTelemetry) -> None:
    """While a name is looked up nobody knows where the other one would be elsewhere from."""
    members = Members(a=[0.1], b=[0.1])

    async def looks_up(asked: Request) -> Response:
        await asyncio.sleep(0.05)
        return await members(asked)

    await ask(hedge_of(members, telemetry), looks_up)

    assert [name for name, _ in members.sent] == ["a"]


@virtual_time
async def test_hedges_come_out_of_the_budget_of_retries(telemetry: RecordingTelemetry) -> None:
    """Three of five that are slow at once."""
    members, budget = Members(a=[0.1], b=[0.2]), RetryBudget(BudgetSettings(min_retry_concurrency=3))
    hedge = hedge_of(members, telemetry, budget=budget)

    await asyncio.gather(*(ask(hedge, members) for _ in range(5)))
    await settled()

    assert denials(telemetry) == ["budget"] * 2
    assert outcomes(telemetry) == ["lost"] * 3
    assert repr(budget) == "<RetryBudget 0 of 3 retries, 0 requests>"


@virtual_time
async def test_what_the_budget_denies_costs_no_hedge_of_the_routes_own(telemetry: RecordingTelemetry) -> None:
    members, budget = Members(a=[0.1], b=[0.2]), RetryBudget(BudgetSettings(min_retry_concurrency=0))
    hedge = hedge_of(members, telemetry, budget=budget)

    await ask(hedge, members)

    assert denials(telemetry) == ["budget"]
    assert repr(hedge) == "<Hedge after 10 ms, <HedgeBudget 1000 %, 10 saved>>"


@pytest.mark.parametrize(
    ("failure", "paused_s"),
    [
        (BUSY, 1.0),
        (BUSY.replaced(retry_after_s=3.0), 3.0),
        (DOWN.replaced(retry_after_s=2.0), 2.0),
        (BUSY.replaced(retry_after_s=86_400.0), 60.0),
    ],
)
@pytest.mark.parametrize("pushes_back", ["a", "b"])
@virtual_time
async def test_pushback_ends_hedging_for_a_time(
    pushes_back: str, failure: GatewayError, paused_s: float, telemetry: RecordingTelemetry
) -> None:
    """Of the request whose attempt it was, and of those that come in that time."""
    steps: list[float | Step] = [(0.005, failure), 0.1]
    members = Members(**{"a": [0.1], "b": [0.1], "c": [0.1], pushes_back: steps})
    hedge = hedge_of(members, telemetry, max_attempts=3)
    if pushes_back == "a":
        with pytest.raises(GatewayError):
            await ask(hedge, members)
    else:
        await ask(hedge, members)
    began, sent = now(), len(members.sent)
    assert sent == (1 if pushes_back == "a" else 2)

    await ask(hedge, members)
    assert len(members.sent) == sent + 1
    assert set(denials(telemetry)) == {"pushback"}

    await asyncio.sleep(paused_s - (now() - began) + 0.05)
    await ask(hedge, members)
    assert len(members.sent) == sent + 4


@virtual_time
async def test_a_bug_in_a_hedge_is_told_and_hurts_nobody(telemetry: RecordingTelemetry) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    members = Members(a=[0.1], b=[0.1])

    async def fails(asked: Request) -> Response:
        if asked.attempt:
            raise ZeroDivisionError
        return await members(asked)

    response = await ask(hedge_of(members, telemetry), fails)

    assert response == answer(region="a")
    assert [each["message"] for each in told] == ["a hedge failed"]
    assert outcomes(telemetry) == ["failed"]


@virtual_time
async def test_a_hedge_runs_in_its_callers_context(telemetry: RecordingTelemetry) -> None:
    """Not in that of the first attempt, nor in that of whoever has armed the timer."""
    members = Members(a=[0.1], b=[0.1], c=[0.1])
    budget = RetryBudget(BudgetSettings(min_retry_concurrency=10))
    hedge = hedge_of(members, telemetry, max_attempts=3, budget=budget)

    async def one(mark: str) -> None:
        MARK.set(mark)
        await ask(hedge, members)

    await asyncio.gather(one("first"), one("second"))

    assert sorted(members.marks) == ["first"] * 3 + ["second"] * 3


async def warm(hedge: Hedge, members: Members, *durations_s: float) -> None:
    """Let requests take so long."""
    for each in durations_s:
        members.scripts["a"] = [each]
        await ask(hedge, members)


@virtual_time
async def test_the_delay_is_measured(telemetry: RecordingTelemetry) -> None:
    """Nothing is hedged until twenty requests were answered; then after the 95th percentile of their time."""
    members = Members(a=[0.02], b=[0.001])
    hedge = hedge_of(members, telemetry, delay_s=None)
    await warm(hedge, members, *[0.02] * 19, 0.5)
    assert {name for name, _ in members.sent} == {"a"}

    began = now()
    await warm(hedge, members, 1.0)

    assert members.sent[-1][0] == "b"
    assert 0.02 <= members.sent[-1][1] - began <= 0.023
    assert repr(hedge) == "<Hedge after p95, <HedgeBudget 1000 %, 9 saved>>"


@virtual_time
async def test_models_are_measured_apart(telemetry: RecordingTelemetry) -> None:
    """A heavy model beside a light one is no slow one."""
    members = Members(a=[0.02], b=[0.001])
    hedge = hedge_of(members, telemetry, delay_s=None)
    await warm(hedge, members, *[0.02] * 40)

    members.scripts["a"] = [0.5]
    await ask(hedge, members, request(model="heavy"))

    assert members.sent[-1][0] == "a"


@virtual_time
async def test_the_delay_has_a_least(telemetry: RecordingTelemetry) -> None:
    members = Members(a=[0.02], b=[0.001])
    hedge = hedge_of(members, telemetry, delay_s=None, min_delay_s=0.05)
    await warm(hedge, members, *[0.001] * 40)

    began = now()
    await warm(hedge, members, 1.0)

    assert members.sent[-1] == ("b", pytest.approx(began + 0.05, abs=0.0011))


@virtual_time
async def test_only_answers_of_first_attempts_are_measured(telemetry: RecordingTelemetry) -> None:
    """Failures are fast, retries and hedges go elsewhere: none of them says how long a first attempt takes."""
    members, latencies = Members(a=[0.02], b=[0.001]), Latencies()
    hedge = hedge_of(members, telemetry, delay_s=None, latencies=latencies)
    await warm(hedge, members, *[0.02] * 30)
    before = repr(latencies.get(("all", "digits", 95.0)))
    members.scripts = {"a": [(0.001, DOWN)], "b": [0.3]}
    for _ in range(100):
        with pytest.raises(GatewayError):
            await ask(hedge, members)
    for _ in range(100):
        await ask(hedge, members, request(attempt=1, tried=("a",)))

    assert repr(latencies.get(("all", "digits", 95.0))) == before


@pytest.mark.parametrize("ending", ["timeout", "leaves", "hedged"])
@virtual_time
async def test_what_is_broken_off_took_at_least_so_long(ending: str, telemetry: RecordingTelemetry) -> None:
    """The service becomes ten times as slow and nobody waits for an answer: the delay grows all the same."""
    latencies = Latencies()
    members = Members(a=[0.02], b=[0.001])
    hedge = hedge_of(members, telemetry, delay_s=None, latencies=latencies)
    await warm(hedge, members, *[0.02] * 100)
    if ending == "timeout":
        members.scripts = {"a": [(0.2, LATE)]}
    else:
        members.scripts["a"] = [0.5]
        if ending == "leaves":
            del members.scripts["b"]
        else:
            members.scripts["b"] = [0.2]
    for _ in range(30):
        try:
            async with asyncio.timeout(0.2 if ending == "leaves" else 10):
                await ask(hedge, members)
        except (TimeoutError, GatewayError):
            pass

    known = latencies.get(("all", "digits", 95.0))
    assert known is not None
    assert known.value_s is not None
    assert known.value_s >= 0.2


@settings(max_examples=60)
@given(
    st.sampled_from((1.0, 5.0, 20.0)),
    st.integers(2, 3),
    st.lists(st.sampled_from((0.001, 0.02, 0.5)), min_size=60, max_size=250),
    st.integers(1, 30),
)
def test_hedges_never_add_more_than_their_percentage(
    percent: float, most: int, durations: list[float], together: int
) -> None:
    """However many are slow, and however many come at once; three members, each as slow."""

    async def play() -> tuple[int, int]:
        members = Members(a=[0.0], b=[0.0], c=[0.0])
        hedge = hedge_of(
            members,
            RecordingTelemetry(),
            budget_percent=percent,
            max_attempts=most,
            budget=RetryBudget(BudgetSettings(min_retry_concurrency=1000)),
        )
        for script in members.scripts.values():
            script[:] = list(durations)
        for begin in range(0, len(durations), together):
            number = len(durations[begin : begin + together])
            await asyncio.gather(*(ask(hedge, members) for _ in range(number)))
        return len(members.sent), len(durations)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        sent, requests = runner.run(play())

    assert requests <= sent <= requests * (1 + percent / 100) + 1e-6


@virtual_time
async def test_overload_is_not_doubled(telemetry: RecordingTelemetry) -> None:
    """Everything becomes fifty times as slow: the load grows by five percent, and hedging goes on after it."""
    members = Members(a=[0.01], b=[0.01])
    hedge = hedge_of(
        members,
        telemetry,
        delay_s=None,
        budget_percent=5.0,
        budget=RetryBudget(BudgetSettings(min_retry_concurrency=1000)),
    )
    await warm(hedge, members, *[0.01] * 200)
    members.sent.clear()
    members.scripts = {"a": [0.5], "b": [0.5]}

    for _ in range(20):
        await asyncio.gather(*(ask(hedge, members) for _ in range(50)))

    hedged = sum(name == "b" for name, _ in members.sent)
    # Ten were saved before.
    assert 10 <= hedged <= 10 + 0.05 * 1000
    assert "percent" in denials(telemetry)
