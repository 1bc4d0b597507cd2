"""How many requests a second go somewhere, against how many should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BURST_S: Final = 1.0
"""So many seconds' worth of requests may come at once."""


class RateMeter:
    """Measures a rate over the last second against a limit, as one number (GCRA, ITU-T I.371).

    It refuses nothing: what is counted beyond the limit is forgotten a second later.

    Args:
        limit: requests per second.
        clock: seconds of a fine timer.
    """

    __slots__ = ("_burst_s", "_clock", "_interval_s", "_paid_until_s", "limit")

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock, self._interval_s = clock, 1 / limit
        # Of less than one request a second, one may come at any time.
        self._burst_s = max(BURST_S, self._interval_s)
        self._paid_until_s = -self._burst_s

    def __repr__(self) -> str:
        return f"<RateMeter {'at' if self.is_full else 'below'} {self.limit:g}/s>"

    @property
    def is_full(self) -> bool:
        """Whether one more request now would be more than the limit."""
        return self._paid_until_s + self._interval_s > self._clock() + self._burst_s

    def count(self) -> None:
        """Count a request."""
        now = self._clock()
        paid = max(self._paid_until_s, now) + self._interval_s
        self._paid_until_s = min(paid, now + self._burst_s)
