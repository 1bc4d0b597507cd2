"""The level of what neighbours sent: bounded, and never in the way of what is computed here."""

from __future__ import annotations

import pytest

from cache.warming.level import IDLE_S, WarmLevel
from gateway.core.cache_events import CacheLookedUp
from tests.cache.build import StepClock, entry
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))
ENTRY = entry(fresh_s=1000)


def level(telemetry: RecordingTelemetry, clock: StepClock, places: int = 2) -> WarmLevel:
    return WarmLevel(places * ENTRY.size, clock, telemetry)


async def test_what_came_is_found_and_says_where_it_was(telemetry: RecordingTelemetry) -> None:
    """A miss is reported."""
    warm = level(telemetry, StepClock())
    assert warm.take(A, ENTRY)

    found = await warm.get(A)
    assert found is not None and found.response.provenance.level == "warm"
    assert await warm.get(B) is None
    assert telemetry.of(CacheLookedUp) == [CacheLookedUp("warm", "miss")]
    assert "1 of neighbours" in repr(warm)


async def test_what_is_known_here_replaces_it(telemetry: RecordingTelemetry) -> None:
    """Computed, read from elsewhere, deleted, or of a model that is forgotten."""
    warm = level(telemetry, StepClock(), places=3)
    for key in (A, B):
        warm.take(key, ENTRY)
    warm.take(C, entry(answer("central")))
    await warm.put(A, ENTRY)
    await warm.delete(B)
    await warm.forget("another")
    assert len(warm) == 1
    await warm.forget(answer().model)
    assert (len(warm), warm.num_bytes) == (0, 0)

    warm.take(A, ENTRY)
    await warm.aclose()
    assert (len(warm), warm.num_bytes) == (0, 0)


@pytest.mark.parametrize(("waits_s", "is_let_in"), [(0.0, False), (IDLE_S + 1, True), (999.0, True)])
def test_newcomers_come_into_free_room(
    telemetry: RecordingTelemetry, waits_s: float, is_let_in: bool
) -> None:
    """Freed by what is no longer fresh, or not offered any more."""
    clock = StepClock()
    warm = level(telemetry, clock)
    warm.take(A, ENTRY)
    warm.take(B, ENTRY)
    clock.step(waits_s)

    assert warm.take(C, ENTRY) is is_let_in
    assert warm.num_bytes <= 2 * ENTRY.size


def test_what_is_offered_again_stays_longer(telemetry: RecordingTelemetry) -> None:
    """A fresher one is wanted all the same."""
    clock = StepClock()
    warm = level(telemetry, clock)
    warm.take(A, ENTRY)
    warm.take(B, ENTRY)
    clock.step(IDLE_S + 1)

    assert warm.has(A, ENTRY.soft_expiry)
    assert not warm.has(A, ENTRY.soft_expiry + 5)
    assert warm.take(C, ENTRY)
    assert warm.has(A, ENTRY.soft_expiry) and not warm.has(B, ENTRY.soft_expiry)


def test_what_can_never_fit_empties_nothing(telemetry: RecordingTelemetry) -> None:
    """Not even what could give way."""
    clock = StepClock()
    warm = level(telemetry, clock)
    warm.take(A, ENTRY)
    clock.step(IDLE_S + 1)
    assert not warm.make_room(3 * ENTRY.size)
    assert len(warm) == 1
