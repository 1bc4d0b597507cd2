"""Outcomes: what is counted in an interval, and in a row."""

from __future__ import annotations

import pytest

from gateway.core.errors import Why
from resilience.outcomes import GATEWAY, LOCAL, Interval, Outcomes
from resilience.settings import OutlierSettings

RESET, STATUS = Why("reset"), Why("503", answered=True)


def outcomes_of(**settings: object) -> Outcomes:
    return Outcomes(OutlierSettings(**settings))  # type: ignore[arg-type]


def test_an_interval_begins_anew():
    outcomes = outcomes_of()
    outcomes.succeeded()
    outcomes.failed(STATUS)
    assert outcomes.take("a") == Interval("a", 1, 1)
    assert outcomes.take("a") == Interval("a", 0, 0)


@pytest.mark.parametrize("why", [RESET, STATUS])
def test_both_kinds_are_one_where_they_are_not_split(why: Why):
    outcomes = outcomes_of(consecutive_gateway_failure=3)
    assert [outcomes.failed(each) for each in (STATUS, why, why)] == ["", "", GATEWAY]
    assert outcomes.take("a").failures == 3


def test_kinds_apart():
    """An answer ends a row of no answers; a success ends both; of local origin nothing is in the interval."""
    outcomes = outcomes_of(consecutive_local_origin_failure=2, split_external_local_origin_errors=True)
    assert outcomes.failed(RESET) == ""
    assert outcomes.failed(STATUS) == ""
    assert outcomes.failed(RESET) == ""
    assert outcomes.failed(RESET) == LOCAL
    outcomes.succeeded()
    assert outcomes.failed(RESET) == ""
    outcomes.restart()
    assert outcomes.failed(RESET) == ""
    assert outcomes.take("a") == Interval("a", 1, 1)


def test_success_rate():
    assert Interval("a", 3, 1).success_rate == 75
    assert Interval("a").success_rate == 100
    assert Interval("a", 3, 1).volume == 4
