"""The rules by which members are compared, against Envoy's own arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resilience.outcomes import Interval
from resilience.outliers import FAILURE_PERCENTAGE, SUCCESS_RATE, outliers
from resilience.settings import OutlierSettings

DEFAULTS = OutlierSettings()


def found(intervals: list[Interval], settings: OutlierSettings = DEFAULTS) -> dict[str, tuple[str, float]]:
    return {name: (why.reason, enforced) for name, why, enforced in outliers(intervals, settings)}


def pool(*failures: int, volume: int = 100) -> list[Interval]:
    return [Interval(f"m{number}", volume - each, each) for number, each in enumerate(failures)]


def test_success_rate_of_envoys_documentation():
    """Mean less 1.9 standard deviations: of 100, 100, 100, 100, 50 the mean is 90, the deviation 20, so 52."""
    assert found(pool(0, 0, 0, 0, 50)) == {"m4": (SUCCESS_RATE, 100.0)}
    assert found(pool(0, 0, 0, 0, 0)) == {}
    assert found(pool(50, 50, 50, 50, 50)) == {}


def test_less_than_the_volume_is_not_compared():
    assert found(pool(0, 0, 0, 0, 99, volume=99)) == {}
    assert found([*pool(0, 0, 0, 0), Interval("new", 0, 99)]) == {}


def test_few_members():
    """A standard deviation says nothing of three: one that fails most while the others do not is out."""
    assert found(pool(0, 0, 95)) == {"m2": (FAILURE_PERCENTAGE, 100.0)}
    assert found(pool(3, 90)) == {"m1": (FAILURE_PERCENTAGE, 100.0)}
    assert found(pool(0, 0, 60)) == {}
    assert found(pool(90, 95)) == {}
    assert found(pool(95)) == {}
    assert found(pool(0, 49, volume=49)) == {}


def test_failure_percentage_where_it_is_enforced():
    """Off by default, as Envoy has it; where all fail it names all, and the last one stays by another rule."""
    five = pool(90, 90, 90, 90, 90)
    assert found(five) == {}
    some = OutlierSettings(enforcing_failure_percentage=50.0)
    assert found(five, some) == {f"m{number}": (FAILURE_PERCENTAGE, 50.0) for number in range(5)}
    assert found(five[:4], some) == {}


def test_the_worst_come_first():
    names = [name for name, _, _ in outliers(pool(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 90, 95), DEFAULTS)]
    assert names == ["m11", "m10"]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=12))
def test_never_all_by_comparison(counts: list[tuple[int, int]]):
    """Whatever happened, those who are no worse than the mean stay in."""
    intervals = [Interval(str(number), good, bad) for number, (good, bad) in enumerate(counts)]
    out = found(intervals)
    assert not intervals or len(out) < len(intervals)
