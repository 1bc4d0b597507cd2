"""A quantile of durations as they were lately, in bounded memory."""

from __future__ import annotations

from math import ceil, log2
from typing import Final

HALF_LIFE_S: Final = 30.0
"""After so long a duration weighs half of a new one."""

_PER_DOUBLING: Final = 8
_LEAST_LOG2: Final = -14
_NUM_BUCKETS: Final = 26 * _PER_DOUBLING
"""From 61 µs to 68 min; what lies outside counts in the outermost ones."""

_LEAST_S: Final = 2.0**_LEAST_LOG2
_OFFSET: Final = -_LEAST_LOG2 * _PER_DOUBLING
_BOUNDS_S: Final = tuple(2.0 ** ((each + 1 - _OFFSET) / _PER_DOUBLING) for each in range(_NUM_BUCKETS))
_MIN_WEIGHT: Final = 20.0
_FORGOTTEN: Final = 2.0**-30


class Quantile:
    """The ``percentile`` of the durations added; the older they are, the less they weigh.

    Durations are counted in buckets, each 9 % wider than the one before, and the bucket of the quantile is
    kept from one to the next, so that asking costs nothing and adding hardly anything.

    What was broken off is known to be *at least* so long. Left out, it would make the quantile too small: it
    is the long ones that are broken off. So it counts where it is above the quantile, as long as it was;
    where it is below, it might be on either side and says nothing.
    """

    __slots__ = ("_below", "_fade_at_s", "_index", "_needed", "_part", "_total", "_weights")

    def __init__(self, percentile: float) -> None:
        self._part = percentile / 100
        # With fewer the quantile is the largest of them.
        self._needed = max(_MIN_WEIGHT, round(100 / (100 - percentile), 6))
        self._weights = [0.0] * _NUM_BUCKETS
        self._total = self._below = 0.0
        self._index = 0
        self._fade_at_s = 0.0

    def __repr__(self) -> str:
        value = self.value_s
        return f"<Quantile p{100 * self._part:g} {'unknown' if value is None else f'{value * 1000:.3g} ms'}>"

    @property
    def value_s(self) -> float | None:
        """The quantile in seconds, rounded up; None: too little was added lately."""
        return _BOUNDS_S[self._index] if self._total >= self._needed else None

    def add(self, duration_s: float, now_s: float) -> None:
        """Add what took ``duration_s``; ``now_s`` never goes back."""
        if now_s >= self._fade_at_s:
            self._fade(now_s)
        number = _number(duration_s)
        self._weights[number] += 1
        self._total += 1
        if number < self._index:
            self._below += 1
        if not self._below < self._part * self._total <= self._below + self._weights[self._index]:
            self._move()

    def add_at_least(self, duration_s: float, now_s: float) -> None:
        """Add what was broken off after ``duration_s``."""
        if self._total and _number(duration_s) > self._index:
            self.add(duration_s, now_s)

    def _move(self) -> None:
        """Let the bucket follow the quantile."""
        weights, index, below, wanted = self._weights, self._index, self._below, self._part * self._total
        while index and below >= wanted:
            index -= 1
            below -= weights[index]
        while below + weights[index] < wanted and index < _NUM_BUCKETS - 1:
            below += weights[index]
            index += 1
        self._index, self._below = index, below

    def _fade(self, now_s: float) -> None:
        """Halve all weights, as often as it is time."""
        if self._total:
            times = 1 + int((now_s - self._fade_at_s) / HALF_LIFE_S)
            factor = 0.5 ** min(times, 1000)
            faded = [weight * factor for weight in self._weights]
            self._weights = [weight if weight > _FORGOTTEN else 0.0 for weight in faded]
            self._total, self._below = sum(self._weights), sum(self._weights[: self._index])
            self._move()
        self._fade_at_s = now_s + HALF_LIFE_S


def _number(duration_s: float) -> int:
    """Return the number of the bucket of a duration."""
    if duration_s <= _LEAST_S:
        return 0
    return min(ceil(log2(duration_s) * _PER_DOUBLING) + _OFFSET - 1, _NUM_BUCKETS - 1)
