"""The budget of hedges: paid in by requests, and never overdrawn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resilience.hedge_budget import HedgeBudget


@given(st.floats(0.1, 100), st.lists(st.booleans(), max_size=400))
def test_no_more_than_its_percentage_is_hedged(percent: float, slow: list[bool]) -> None:
    """Of any number of requests from the first one on, whichever of them are slow."""
    budget, hedged = HedgeBudget(percent), 0
    for number, is_slow in enumerate(slow, 1):
        budget.enter()
        if is_slow and budget.has_one:
            budget.take()
            hedged += 1
        assert hedged <= percent / 100 * number + 1e-6


def test_ten_are_saved_at_most() -> None:
    """A long good time does not pay for a storm."""
    budget = HedgeBudget(5)
    for _ in range(10_000):
        budget.enter()
    assert repr(budget) == "<HedgeBudget 5 %, 10 saved>"

    for _ in range(10):
        assert budget.has_one
        budget.take()

    assert not budget.has_one


@pytest.mark.parametrize(("percent", "requests"), [(5.0, 20), (1.0, 100), (10.0, 10), (100.0, 1)])
def test_the_first_hedge_comes_when_it_is_paid(percent: float, requests: int) -> None:
    """Twenty times a twentieth is one."""
    budget = HedgeBudget(percent)
    for _ in range(requests - 1):
        budget.enter()
    assert not budget.has_one

    budget.enter()

    assert budget.has_one
