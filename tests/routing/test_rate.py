"""The measure of a rate against its limit."""

from __future__ import annotations

import pytest

from routing.rate import RateMeter


class Time:
    """Seconds that the test owns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("limit", [3, 10, 250])
def test_a_second_takes_as_many_as_the_limit(limit: int) -> None:
    """Within a moment as within a second; then there is room at the rate of the limit."""
    time = Time()
    meter = RateMeter(limit, time)

    found = 0
    while not meter.is_full:
        meter.count()
        found += 1
    assert limit - found in {0, 1}, "sums of floats"
    meter.count()
    time.now += 0.9 / limit
    assert meter.is_full
    time.now += 0.2 / limit
    assert not meter.is_full


def test_steady_requests_below_the_limit_never_fill_it() -> None:
    """However long they go on."""
    time = Time()
    meter = RateMeter(10, time)

    for _ in range(1000):
        time.now += 1 / 9
        assert not meter.is_full
        meter.count()


def test_of_twice_the_limit_half_finds_room() -> None:
    """What is turned away is not counted."""
    time = Time()
    meter = RateMeter(10, time)
    found = 0
    for _ in range(2000):
        time.now += 1 / 20
        if not meter.is_full:
            meter.count()
            found += 1

    assert found == pytest.approx(1000, abs=15)


def test_what_is_beyond_the_limit_is_forgotten_in_a_second() -> None:
    """Nobody is refused: a burst does not cost the endpoint its part for long."""
    time = Time()
    meter = RateMeter(10, time)
    for _ in range(10_000):
        meter.count()
    time.now += 1.01

    assert not meter.is_full
    assert repr(meter) == "<RateMeter below 10/s>"


def test_less_than_one_a_second() -> None:
    """One may come at any time, the next after its interval."""
    time = Time()
    meter = RateMeter(0.1, time)
    assert not meter.is_full
    meter.count()
    time.now += 9.9
    assert meter.is_full
    assert repr(meter) == "<RateMeter at 0.1/s>"
    time.now += 0.2
    assert not meter.is_full
