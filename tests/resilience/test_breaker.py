"""Circuit and Breaker: leaving a broken endpoint alone, and noticing when it is well again."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.telemetry import BreakerChanged
from resilience.breaker import PROOFS_OF_LIFE, Breaker, Circuit
from resilience.settings import BreakerSettings
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import VirtualLoop, virtual_time

DOWN = GatewayError(Fault.UNAVAILABLE, "connection refused", retryable=True, counts=True)


def circuit(telemetry: RecordingTelemetry, **settings) -> Circuit:
    return Circuit("central", BreakerSettings(**settings), LoopClock(), telemetry)


async def attempt(breaker: Breaker, step: object = None) -> str:
    """One request whose endpoint does ``step``; returns the fault, ``bug`` or ``ok``."""
    try:
        await breaker(request(), ScriptedService(*([] if step is None else [step])))
    except GatewayError as error:
        return str(error.fault)
    except KeyError:
        return "bug"
    return "ok"


async def opened(telemetry: RecordingTelemetry, **settings) -> tuple[Circuit, Breaker]:
    """A circuit that five failures have opened, its ejection not yet over."""
    guarded = circuit(telemetry, **settings)
    breaker = Breaker(guarded)
    for _ in range(5):
        await attempt(breaker, DOWN)
    assert guarded.state == "open"
    return guarded, breaker


@virtual_time
async def test_an_answer_passes_through(telemetry: RecordingTelemetry) -> None:
    """Closed, the request goes down as it came."""
    guarded, service, asked = circuit(telemetry), ScriptedService(answer("edge")), request()

    assert await Breaker(guarded)(asked, service) == answer("edge")

    assert service.requests[0] is asked
    assert guarded.is_available
    assert telemetry.events == []


@virtual_time
async def test_five_failures_in_a_row_open_it(telemetry: RecordingTelemetry) -> None:
    """After the fifth the endpoint is not even asked, and the refusal counts against nobody."""
    guarded, service = circuit(telemetry), ScriptedService(DOWN)
    breaker = Breaker(guarded)
    for _ in range(5):
        with pytest.raises(GatewayError, match="connection refused"):
            await breaker(request(), service)

    with pytest.raises(GatewayError) as caught:
        await breaker(request(), service)

    assert repr(caught.value) == (
        "GatewayError(unavailable, "
        "\"endpoint 'central' is unavailable: its circuit breaker is open\", retryable)"
    )
    assert len(service.requests) == 5
    assert not guarded.is_available
    assert telemetry.events == [BreakerChanged("central", "open")]
    assert repr(breaker) == "<Breaker <Circuit central open, ejection 1, until 1030.0 s>>"


@virtual_time
async def test_a_success_in_between_starts_the_count_anew(telemetry: RecordingTelemetry) -> None:
    """Four failures, one success, four failures: still closed."""
    guarded = circuit(telemetry)
    breaker = Breaker(guarded)

    for step in [DOWN] * 4 + [answer()] + [DOWN] * 4:
        await attempt(breaker, step)

    assert repr(guarded) == "<Circuit central closed, 4 of 5 failures>"
    await attempt(breaker, DOWN)
    assert guarded.state == "open"


@pytest.mark.parametrize("fault", sorted(PROOFS_OF_LIFE), ids=str)
def test_a_callers_mistake_never_opens_it(fault: Fault) -> None:
    """A 4xx proves that the endpoint works: any number of them, and they reset the count."""

    @virtual_time
    async def check() -> None:
        guarded = circuit(RecordingTelemetry())
        breaker = Breaker(guarded)
        for _ in range(4):
            await attempt(breaker, DOWN)

        outcomes = {await attempt(breaker, GatewayError(fault, "bad request")) for _ in range(100)}

        assert outcomes == {fault.value}
        assert repr(guarded) == "<Circuit central closed, 0 of 5 failures>"

    check()


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.DEADLINE, Fault.CANCELLED, Fault.UNAVAILABLE])
def test_what_is_ours_or_the_callers_is_no_evidence(fault: Fault) -> None:
    """A full queue of ours and a caller out of time neither raise the count nor reset it."""

    @virtual_time
    async def check() -> None:
        guarded = circuit(RecordingTelemetry())
        breaker = Breaker(guarded)
        for _ in range(4):
            await attempt(breaker, DOWN)

        for _ in range(10):
            await attempt(breaker, GatewayError(fault, "not the endpoint's"))

        assert repr(guarded) == "<Circuit central closed, 4 of 5 failures>"

    check()


@virtual_time
async def test_a_bug_counts_and_is_not_hidden(telemetry: RecordingTelemetry) -> None:
    """An exception that nobody translated is evidence, and passes on as it is."""
    guarded = circuit(telemetry)
    breaker = Breaker(guarded)

    outcomes = [await attempt(breaker, KeyError("bug")) for _ in range(6)]

    assert outcomes == ["bug"] * 5 + ["unavailable"]


@virtual_time
async def test_callers_who_leave_do_not_count(telemetry: RecordingTelemetry) -> None:
    """Any number of cancelled requests leaves the circuit as it was."""
    guarded, service = circuit(telemetry), ScriptedService(HANG)
    breaker = Breaker(guarded)
    callers = [asyncio.create_task(breaker(request(), service)) for _ in range(20)]
    await asyncio.sleep(1)

    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)

    assert service.running == 0
    assert repr(guarded) == "<Circuit central closed, 0 of 5 failures>"


@virtual_time
async def test_one_real_request_is_the_probe(telemetry: RecordingTelemetry) -> None:
    """When the ejection is over exactly one request goes through; its success lets all others in."""
    guarded, breaker = await opened(telemetry)
    service = ScriptedService(HANG)
    await asyncio.sleep(30)
    assert guarded.is_available
    probe = asyncio.create_task(breaker(request(), service))
    await asyncio.sleep(0)

    others = [await attempt(breaker) for _ in range(3)]

    assert others == ["unavailable"] * 3
    assert not guarded.is_available
    assert repr(guarded) == "<Circuit central half-open, probing>"
    service.release()
    await probe
    assert await attempt(breaker) == "ok"
    assert [event.state for event in telemetry.of(BreakerChanged)] == ["open", "half_open", "closed"]


@virtual_time
async def test_the_ejection_grows_and_a_success_forgets_it(telemetry: RecordingTelemetry) -> None:
    """30 s times the ejections in a row, at most the maximum; after a success it starts anew."""
    guarded, breaker = await opened(telemetry, max_ejection_time_s=80.0)
    waits = []
    for _ in range(3):
        waits.append(await ejection_s(guarded))
        await attempt(breaker, DOWN)
    waits.append(await ejection_s(guarded))
    await attempt(breaker)
    for _ in range(5):
        await attempt(breaker, DOWN)
    waits.append(await ejection_s(guarded))

    assert waits == [30, 60, 80, 80, 30]


async def ejection_s(guarded: Circuit) -> int:
    """Wait until the circuit is available again; returns whole seconds."""
    seconds = 0
    while not guarded.is_available:
        await asyncio.sleep(1)
        seconds += 1
    return seconds


@pytest.mark.parametrize("ending", ["cancelled", "no evidence"])
def test_a_probe_without_evidence_makes_room_for_the_next(ending: str) -> None:
    """A probe whose caller left, or that met a full queue of ours, frees the slot and proves nothing."""

    @virtual_time
    async def check() -> None:
        guarded, breaker = await opened(RecordingTelemetry())
        await asyncio.sleep(30)
        if ending == "cancelled":
            service = ScriptedService(HANG)
            probe = asyncio.create_task(breaker(request(), service))
            await asyncio.sleep(1)
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
        else:
            await attempt(breaker, GatewayError(Fault.OVERLOADED, "our queue is full"))

        assert repr(guarded) == "<Circuit central half-open, awaiting a probe>"
        assert guarded.is_available
        assert await attempt(breaker) == "ok"
        assert guarded.state == "closed"

    check()


@virtual_time
async def test_a_cancelled_probe_frees_the_slot_though_its_task_lives_on(
    telemetry: RecordingTelemetry,
) -> None:
    """A caller that gave the probe a time of its own, and goes on after it, may be the next probe."""
    guarded, breaker = await opened(telemetry)
    await asyncio.sleep(30)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await breaker(request(), ScriptedService(HANG))

    assert repr(guarded) == "<Circuit central half-open, awaiting a probe>"
    assert await attempt(breaker) == "ok"


@virtual_time
async def test_calls_from_before_the_opening_do_not_end_the_probe(telemetry: RecordingTelemetry) -> None:
    """A late success, a late failure and a late leaver change nothing, open or half-open."""
    guarded = circuit(telemetry, base_ejection_time_s=10.0)
    breaker = Breaker(guarded)

    async def fail_late(seconds: float) -> None:
        await asyncio.sleep(seconds)
        raise DOWN

    late_steps = [ScriptedService(5.0), ScriptedService(15.0), ScriptedService(HANG)]
    late = [asyncio.create_task(breaker(request(), service)) for service in late_steps]
    late += [asyncio.create_task(breaker(request(), lambda _, s=s: fail_late(s))) for s in (5.0, 15.0)]
    await asyncio.sleep(0)
    for _ in range(5):
        await attempt(breaker, DOWN)
    await asyncio.sleep(9)
    assert repr(guarded) == "<Circuit central open, ejection 1, until 1010.0 s>"
    await asyncio.sleep(1)
    service = ScriptedService(HANG)
    probe = asyncio.create_task(breaker(request(), service))
    await asyncio.sleep(0)

    late[2].cancel()
    await asyncio.gather(*late, return_exceptions=True)

    assert repr(guarded) == "<Circuit central half-open, probing>"
    assert await attempt(breaker) == "unavailable"
    service.release()
    await probe
    assert guarded.state == "closed"


@virtual_time
async def test_a_probe_that_never_reports_holds_nobody_up(telemetry: RecordingTelemetry) -> None:
    """When the pass of an admitted probe was dropped, the next call may be the probe."""
    guarded, breaker = await opened(telemetry)
    await asyncio.sleep(30)

    forgotten = guarded.admit()
    assert forgotten is not None
    assert not guarded.is_available

    del forgotten

    assert guarded.is_available
    assert await attempt(breaker) == "ok"


class AnyOutcomes(RuleBasedStateMachine):
    """One call after another, with any ending, and any time in between: held against a small model."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.circuit = circuit(RecordingTelemetry(), consecutive_5xx=3, base_ejection_time_s=10.0)
        self.failures = self.ejections = 0
        self.until: float | None = None
        self.time = 1000.0

    def teardown(self) -> None:
        self.runner.close()

    def end_with(self, ending: str) -> bool:
        async def call() -> bool:
            admitted = self.circuit.admit()
            if admitted is None:
                return False
            getattr(admitted, ending)()
            return True

        return self.runner.run(call())

    @rule(ending=st.sampled_from(["succeeded", "failed", "failed", "left"]))
    def one_call(self, ending: str) -> None:
        admitted = self.until is None or self.time >= self.until
        assert self.end_with(ending) == admitted
        if not admitted:
            return
        if ending == "succeeded":
            self.failures, self.ejections, self.until = 0, 0, None
        elif ending == "failed":
            self.failures += 1
            if self.until is not None or self.failures == 3:
                self.ejections += 1
                self.until = self.time + min(10 * self.ejections, 300)

    @rule(seconds=st.integers(1, 40))
    def time_passes(self, seconds: int) -> None:
        self.runner.run(asyncio.sleep(seconds))
        self.time += seconds

    @invariant()
    def its_word_is_that_of_the_model(self) -> None:
        async def look() -> bool:
            return self.circuit.is_available

        assert self.runner.run(look()) == (self.until is None or self.time >= self.until)
        assert (self.circuit.state == "closed") == (self.until is None)


TestAnyOutcomes = AnyOutcomes.TestCase
