"""Circuit: leaving alone what is broken, with a real call as the probe."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.clock import LoopClock
from gateway.core.telemetry import BreakerChanged
from resilience.circuit import Circuit
from resilience.settings import BreakerSettings
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import VirtualLoop, virtual_time


def circuit(telemetry: RecordingTelemetry, **settings) -> Circuit:
    return Circuit(
        "redis",
        BreakerSettings(**{"base_ejection_time_s": 30.0, "max_ejection_time_s": 300.0, **settings}),
        LoopClock(),
        telemetry,
    )


def call(gate: Circuit, ending: str = "succeeded") -> bool:
    """One call that ends as told; returns whether it was admitted."""
    admitted = gate.admit()
    if admitted is None:
        return False
    getattr(admitted, ending)()
    return True


def opened(telemetry: RecordingTelemetry, **settings) -> Circuit:
    """A circuit that five failures have opened, its ejection not yet over."""
    gate = circuit(telemetry, **settings)
    for _ in range(5):
        call(gate, "failed")
    assert gate.state == "open"
    return gate


@virtual_time
async def test_five_failures_in_a_row_open_it(telemetry: RecordingTelemetry) -> None:
    """After the fifth nobody is admitted."""
    gate = opened(telemetry)

    assert not call(gate)
    assert not gate.is_available
    assert telemetry.events == [BreakerChanged("redis", "open")]
    assert repr(gate) == "<Circuit redis open, ejection 1, until 1030.0 s>"


@virtual_time
async def test_a_success_in_between_starts_the_count_anew(telemetry: RecordingTelemetry) -> None:
    """Four failures, one success, four failures: still closed."""
    gate = circuit(telemetry)
    for ending in ["failed"] * 4 + ["succeeded"] + ["failed"] * 4 + ["left"]:
        assert call(gate, ending)

    assert repr(gate) == "<Circuit redis closed, 4 of 5 failures>"


@virtual_time
async def test_one_real_call_is_the_probe(telemetry: RecordingTelemetry) -> None:
    """When the ejection is over exactly one call goes through; its success lets all others in."""
    gate = opened(telemetry)
    await asyncio.sleep(30)
    assert gate.is_available
    probe = gate.admit()
    assert probe is not None

    assert not call(gate)
    assert repr(gate) == "<Circuit redis half_open, probing>"
    probe.succeeded()
    assert call(gate)
    assert [event.state for event in telemetry.of(BreakerChanged)] == ["open", "half_open", "closed"]


@virtual_time
async def test_the_ejection_grows_and_a_success_forgets_it(telemetry: RecordingTelemetry) -> None:
    """30 s times the ejections in a row, at most the maximum; after a success it starts anew."""
    gate = opened(telemetry, max_ejection_time_s=80.0)
    waits = []
    for _ in range(3):
        waits.append(await ejection_s(gate))
        call(gate, "failed")
    waits.append(await ejection_s(gate))
    call(gate)
    for _ in range(5):
        call(gate, "failed")
    waits.append(await ejection_s(gate))

    assert waits == [30, 60, 80, 80, 30]


async def ejection_s(gate: Circuit) -> int:
    """Wait until the circuit is available again; returns whole seconds."""
    seconds = 0
    while not gate.is_available:
        await asyncio.sleep(1)
        seconds += 1
    return seconds


@virtual_time
async def test_a_probe_without_evidence_makes_room_for_the_next(telemetry: RecordingTelemetry) -> None:
    """A probe whose caller left frees the slot and proves nothing; so does one that was dropped."""
    gate = opened(telemetry)
    await asyncio.sleep(30)

    call(gate, "left")
    assert repr(gate) == "<Circuit redis half_open, awaiting a probe>"
    forgotten = gate.admit()
    assert not gate.is_available
    del forgotten

    assert call(gate)
    assert gate.state == "closed"


@virtual_time
async def test_calls_from_before_the_opening_do_not_end_the_probe(telemetry: RecordingTelemetry) -> None:
    """A late success, a late failure and a late leaver change nothing, open or half-open."""
    gate = circuit(telemetry)
    late = [gate.admit() for _ in range(3)]
    for _ in range(5):
        call(gate, "failed")
    await asyncio.sleep(30)
    probe = gate.admit()

    for pass_, ending in zip(late, ("succeeded", "failed", "left"), strict=True):
        getattr(pass_, ending)()

    assert repr(gate) == "<Circuit redis half_open, probing>"
    assert probe is not None
    probe.succeeded()
    assert gate.state == "closed"


@virtual_time
async def test_it_says_why(telemetry: RecordingTelemetry) -> None:
    """What opened it, and nothing once it is closed."""
    gate = circuit(telemetry)
    for _ in range(5):
        admitted = gate.admit()
        assert admitted is not None
        admitted.failed("timeout")
    await asyncio.sleep(30)
    call(gate)

    assert [event.reason for event in telemetry.of(BreakerChanged)] == ["timeout", "timeout", ""]


@virtual_time
async def test_a_retired_circuit_is_silent(telemetry: RecordingTelemetry) -> None:
    """Another one may have the name now."""
    gate = circuit(telemetry)
    gate.retire()
    for _ in range(5):
        call(gate, "failed")

    assert gate.state == "open"
    assert telemetry.events == []


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
