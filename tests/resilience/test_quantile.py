"""The quantile: near the exact one, forgetful, and not fooled by what was broken off."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.quantile import HALF_LIFE_S, Quantile

_durations = st.lists(st.floats(0.0001, 1000.0), min_size=20, max_size=300)


def filled(*durations_s: float, percentile: float = 95.0, now_s: float = 0.0) -> Quantile:
    quantile = Quantile(percentile)
    for each in durations_s:
        quantile.add(each, now_s)
    return quantile


@given(_durations, st.sampled_from((50.0, 90.0, 95.0)))
def test_it_is_the_exact_one_rounded_up(durations: list[float], percentile: float) -> None:
    """At most 9.1 % above the smallest duration that so many percent do not exceed."""
    found = filled(*durations, percentile=percentile).value_s
    ordered = sorted(durations)
    number = next(n for n in range(1, len(ordered) + 1) if n >= percentile / 100 * len(ordered))
    exact = ordered[number - 1]

    assert found is not None
    assert exact * 0.9999 <= found <= exact * 1.0907


@pytest.mark.parametrize(("percentile", "needed"), [(50.0, 20), (95.0, 20), (99.0, 100), (99.9, 1000)])
def test_it_is_unknown_until_there_is_enough(percentile: float, needed: int) -> None:
    """Of fewer the quantile would be the largest."""
    quantile = filled(*[0.01] * (needed - 1), percentile=percentile)
    assert quantile.value_s is None
    assert repr(quantile) == f"<Quantile p{percentile:g} unknown>"

    quantile.add(0.01, 0.0)

    assert quantile.value_s == pytest.approx(0.01, rel=0.0907)


def test_what_is_old_weighs_less() -> None:
    """A service that has become ten times as fast, and one that has become ten times as slow."""
    quantile = filled(*[0.1] * 400)
    for number in range(2000):
        quantile.add(0.01, number * 5 * HALF_LIFE_S / 2000)
    assert quantile.value_s == pytest.approx(0.01, rel=0.0907)

    for number in range(200):
        quantile.add(0.1, 6 * HALF_LIFE_S + number * 0.001)
    assert quantile.value_s == pytest.approx(0.1, rel=0.0907)


def test_who_was_idle_for_long_knows_nothing() -> None:
    """What was measured an hour ago is no evidence; a year ago, either."""
    quantile = filled(*[0.1] * 1000)
    for later_s in (3600.0, 3e7):
        quantile.add(0.01, later_s)
        assert quantile.value_s is None


@pytest.mark.parametrize("extreme_s", [0.0, 1e-9, 1e9])
def test_extremes_count_in_the_outermost_buckets(extreme_s: float) -> None:
    """Memory stays what it is."""
    found = filled(*[extreme_s] * 30).value_s

    assert found == pytest.approx(2.0**-14 * 2 ** (1 / 8) if extreme_s < 1 else 2.0**12, rel=0.1)


def test_what_was_broken_off_early_says_nothing() -> None:
    """A caller who leaves after 1 ms would have waited for who knows how long."""
    quantile = filled(*[0.1] * 100)
    before = repr(quantile)

    for _ in range(1000):
        quantile.add_at_least(0.001, 0.0)

    assert repr(quantile) == before
    assert quantile.value_s == pytest.approx(0.1, rel=0.0907)


def test_what_was_broken_off_before_anything_is_known_says_nothing() -> None:
    quantile = Quantile(95.0)

    quantile.add_at_least(1.0, 0.0)

    assert quantile.value_s is None


@pytest.mark.parametrize("percent_slow", [4, 10])
def test_breaking_off_the_slow_does_not_shrink_it(percent_slow: int) -> None:
    """Each one above the quantile is broken off a little later: it stays where the true one is, or above.

    Were they left out, 95 percent of what is left would be less than 95 percent of all, again and again.
    """
    chance = Random(1)
    quantile = filled(*[chance.uniform(0.01, 0.02) for _ in range(200)])
    for number in range(20_000):
        is_slow = chance.random() * 100 < percent_slow
        took = 1.0 if is_slow else chance.uniform(0.01, 0.02)
        delay = quantile.value_s
        assert delay is not None
        if took > delay + 0.001:
            quantile.add_at_least(delay + 0.001, number * 0.01)
        else:
            quantile.add(took, number * 0.01)

    found = quantile.value_s
    assert found is not None
    # The true one lies at 19.6 ms, or at 1 s.
    assert found >= 0.0196
    assert percent_slow < 5 or found > 0.021
