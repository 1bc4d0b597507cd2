"""Expiries of answers that are shared between processes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cache.levels.stamps import HOLD_S, Stamps
from tests.cache.build import StepClock, entry

NOW = 1_700_000_000.0


def test_while_the_clock_runs_nothing_is_changed() -> None:
    """Not even copied; an adjustment of less than a second is none."""
    clock = StepClock()
    stamps, held = Stamps(clock), entry(now=NOW)

    assert stamps.outward(held) is held
    clock.set_back(0.9)
    assert stamps.inward(held) is held


def test_after_it_was_set_back_others_read_the_time_of_day() -> None:
    """What is fresh for a minute in here is fresh for a minute to them."""
    clock = StepClock()
    stamps = Stamps(clock)
    clock.set_back(3600)

    sealed = stamps.outward(entry(now=clock.steady(), fresh_s=60, stale_s=30))

    assert sealed.soft_expiry == clock.wall() + 60
    assert sealed.hard_expiry == clock.wall() + 90


def test_after_it_was_set_back_nothing_gets_younger(caplog: pytest.LogCaptureFixture) -> None:
    """What had expired stays so; when all of it must be gone, the time of day is believed again."""
    clock = StepClock()
    stamps, expired = Stamps(clock), entry(now=NOW, fresh_s=-10)
    clock.set_back(3600)

    assert stamps.inward(expired).soft_expiry < clock.steady()
    clock.step(HOLD_S - 1)
    assert stamps.inward(expired) is expired
    clock.step(2)

    assert stamps.inward(entry(now=clock.wall(), fresh_s=60)).soft_expiry == clock.steady() + 60
    assert [record.getMessage() for record in caplog.records] == ["the system's clock was set back by 3600 s"]


def test_each_time_begins_another_hold() -> None:
    """Twice set back is not half believed."""
    clock = StepClock()
    stamps, held = Stamps(clock), entry(now=NOW)
    for _ in range(2):
        clock.set_back(100)
        assert stamps.inward(held) is held
        clock.step(HOLD_S)
        assert stamps.inward(held) is not held


def test_the_age_of_an_answer_survives_a_clock_that_is_set_back() -> None:
    """When it was computed moves with its expiries; what is not known stays so."""
    clock = StepClock()
    stamps = Stamps(clock)
    clock.set_back(1000)
    born = replace(entry(), response=replace(entry().response, born=clock.steady()))

    assert stamps.outward(born).response.born == clock.wall()
    assert stamps.outward(entry()).response.born == 0.0
