"""How much of the load may be retries, so that they cannot become the load."""

from __future__ import annotations

from resilience.settings import BudgetSettings


class RetryBudget:
    """Envoy's retry budget: retries under way ≤ max(min, percent of the requests under way).

    One budget is shared by all that retry towards the same endpoints. A retry holds its place from
    the moment it is scheduled, the wait before it included, until its outcome is known. A retry after
    an attempt of which nothing was sent holds none: no endpoint gets more than the request itself.
    """

    def __init__(self, settings: BudgetSettings) -> None:
        self._share = settings.budget_percent / 100
        self._min = settings.min_retry_concurrency
        self._requests = 0
        self._retries = 0

    def __repr__(self) -> str:
        return f"<RetryBudget {self._retries} of {self.limit} retries, {self._requests} requests>"

    @property
    def limit(self) -> int:
        """How many retries may be under way now."""
        return max(self._min, int(self._share * self._requests))

    def enter(self) -> None:
        """A request is under way; it ends in ``leave``."""
        self._requests += 1

    def leave(self) -> None:
        """A request has ended."""
        self._requests -= 1

    def take(self) -> bool:
        """Take the place of one retry, if there is one; it ends in ``give_back``."""
        if self._retries >= self.limit:
            return False
        self._retries += 1
        return True

    def give_back(self) -> None:
        """A retry has ended."""
        self._retries -= 1
