"""Popularity as the web has it: the k-th most popular image is requested in proportion to k^-s."""

from __future__ import annotations

from typing import Final

import numpy as np

from gateway.core.tensor import Array

EXPONENT: Final = 1.1
_RANKS_SEED: Final = 7


def zipf_order(items: int, requests: int, seed: int, exponent: float = EXPONENT) -> Array:
    """Return ``requests`` item numbers. The ranking is the same for every seed."""
    ranking = np.random.default_rng(_RANKS_SEED).permutation(items)
    weights = np.arange(1, items + 1, dtype=np.float64) ** -exponent
    return ranking[np.random.default_rng(seed).choice(items, requests, p=weights / weights.sum())]
