"""The exact upper bound of a proportion, and how many rows it takes to bring it below a limit.

It is written here, in plain Python, because a serving process recomputes it: a certificate is not believed
about its own numbers, and scipy, which has the same function, is in no serving process. Both agree to about
1e-9 (the test compares them); what limits it is ``math.lgamma``, whose rounding grows with ``n``.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np

from gateway.core.tensor import Array

MOST_ROWS: Final = 10_000_000
"""No sample has more rows: beyond that ``rows_needed`` returns that no number would do."""

_NEGLIGIBLE: Final = 1e-18
_PRECISION: Final = 1e-14
_MOST_STEPS: Final = 200


@lru_cache(maxsize=1 << 16)
def upper_bound(errors: int, n: int, delta: float) -> float:
    """Return the exact one-sided upper bound (Clopper-Pearson) of what was seen ``errors`` times in ``n``.

    It is the p at which ``P(Binomial(n, p) <= errors) = delta``, the 1 - delta quantile of
    Beta(errors + 1, n - errors), and 1 when all were errors.
    """
    if errors >= n:
        return 1.0
    if errors == 0:
        return -math.expm1(math.log(delta) / n)
    # Newton's steps on the logarithm, which is nearly straight; halves where one would leave the bracket.
    low, high, p = 0.0, 1.0, min(0.5 * (1 + errors / n), (errors + 2 * math.sqrt(errors + 1)) / n)
    for _ in range(_MOST_STEPS):
        below = binomial_cdf(errors, n, p)
        # The more probable errors are, the less probable so few of them.
        low, high = (p, high) if below > delta else (low, p)
        slope = _probability(errors, n, p) * (n - errors) / (1.0 - p)
        step = below * math.log(below / delta) / slope if slope and below else 0.0
        beyond = p + step
        before, p = p, beyond if step and low < beyond < high else (low + high) / 2
        if abs(p - before) <= _PRECISION * p:
            break
    return p


def upper_bounds(errors: Array, n: int, delta: float) -> Array:
    """Return ``upper_bound`` of each count, ``float64`` of the same shape."""
    counts, places = np.unique(np.asarray(errors), return_inverse=True)
    bounds = np.array([upper_bound(int(count), n, delta) for count in counts], np.float64)
    spread: Array = bounds[places]
    return spread.reshape(np.shape(errors))


def binomial_cdf(k: int, n: int, p: float) -> float:
    """Return P(Binomial(n, p) <= k), for k below n.

    It adds up the tail that falls away from ``k``, until what is left does not count.
    """
    if p in {0.0, 1.0}:
        return 1.0 - p
    odds = p / (1.0 - p)
    if p * n < k:
        term = total = _probability(k + 1, n, p)
        for i in range(k + 2, n + 1):
            term *= (n - i + 1) / i * odds
            total += term
            if term < total * _NEGLIGIBLE:
                break
        return 1.0 - total
    term = total = _probability(k, n, p)
    for i in range(k, 0, -1):
        term *= i / ((n - i + 1) * odds)
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return min(total, 1.0)


def rows_needed(errors: int, n: int, *, alpha: float, delta: float) -> int | None:
    """Return how many rows it takes, at the rate seen, until the bound is at most ``alpha``.

    None: no number of rows within reason would do, because the rate itself is not below ``alpha``.
    """
    if errors >= alpha * n:
        return None

    def is_enough(rows: int) -> bool:
        return upper_bound(math.ceil(errors * rows / n), rows, delta) <= alpha

    high = n
    while not is_enough(high):
        high *= 2
        if high > MOST_ROWS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _probability(k: int, n: int, p: float) -> float:
    """Return P(Binomial(n, p) = k), for p strictly between 0 and 1."""
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))
