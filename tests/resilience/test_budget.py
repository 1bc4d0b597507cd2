"""RetryBudget: how much of the load may be retries."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from resilience.budget import RetryBudget
from resilience.settings import BudgetSettings


@pytest.mark.parametrize(
    ("percent", "least", "requests", "limit"),
    [
        (20.0, 3, 0, 3),
        (20.0, 3, 15, 3),
        (20.0, 3, 20, 4),
        (20.0, 3, 24, 4),
        (0.0, 0, 100, 0),
        (100.0, 0, 7, 7),
    ],
)
def test_the_limit_is_envoys(percent: float, least: int, requests: int, limit: int) -> None:
    """The share of the requests under way, rounded down, but never less than the minimum."""
    budget = RetryBudget(BudgetSettings(budget_percent=percent, min_retry_concurrency=least))

    for _ in range(requests):
        budget.enter()

    assert budget.limit == limit


def test_a_place_given_back_can_be_taken_again() -> None:
    """The budget is about retries at the same time, not about their number."""
    budget = RetryBudget(BudgetSettings(min_retry_concurrency=1))

    assert budget.take()
    assert not budget.take()
    budget.give_back()

    assert budget.take()
    assert repr(budget) == "<RetryBudget 1 of 1 retries, 0 requests>"


class AnySchedule(RuleBasedStateMachine):
    """Requests and retries begin and end in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget(BudgetSettings())
        self.requests = 0
        self.retries = 0

    @rule(count=st.integers(1, 40))
    def requests_begin(self, count: int) -> None:
        for _ in range(count):
            self.budget.enter()
        self.requests += count

    @precondition(lambda self: self.requests)
    @rule(count=st.integers(1, 40))
    def requests_end(self, count: int) -> None:
        for _ in range(min(count, self.requests)):
            self.budget.leave()
            self.requests -= 1

    @rule()
    def a_retry_asks(self) -> None:
        within = self.retries + 1 <= max(3, 0.2 * self.requests)
        assert self.budget.take() == within
        self.retries += within

    @precondition(lambda self: self.retries)
    @rule()
    def a_retry_ends(self) -> None:
        self.budget.give_back()
        self.retries -= 1

    @invariant()
    def it_shows_what_is_under_way(self) -> None:
        limit = max(3, self.requests // 5)
        assert repr(self.budget) == (
            f"<RetryBudget {self.retries} of {limit} retries, {self.requests} requests>"
        )


TestAnySchedule = AnySchedule.TestCase
