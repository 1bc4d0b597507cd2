"""How sure a model is of each row of its answer: from class probabilities to one score per row.

Every measure takes probabilities ``[n, classes]`` and returns ``float64 [n]``: 1 is certainty, 0 is none.
A row that is no row of probabilities (NaN, an infinity, a number outside 0 … 1 by more than ``SLACK``) scores
NaN, and NaN is not ``>=`` any threshold: such a row always defers. The scores are float64 whatever the
outputs are, so that ``score >= threshold`` decides alike for one row and for many, when certifying and when
serving.

A measure only ranks rows. What a score is worth is proven by ``edge_models.certify``, per measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.core.tensor import Array

Measure = Callable[[Array], Array]

SLACK: Final = 1e-3
"""How far beyond 0 … 1 a probability may be rounded: float sums of trees' votes end at -3e-7, or 1 + 1e-6."""

_NAN: Final = np.float64("nan")
_LEAST: Final = -SLACK
_MOST: Final = 1 + SLACK
_TINY: Final = np.finfo(np.float64).tiny
_FEW: Final = 64
"""Classes up to which plain Python scores one row, the usual request, faster than five calls of numpy."""


def max_probability(outputs: Array) -> Array:
    """Return the probability of the likeliest class."""
    if len(outputs) == 1 and outputs.size <= _FEW:
        return np.array([_likeliest(outputs[0].tolist())])
    low = np.minimum.reduce(outputs, axis=1)
    high = np.maximum.reduce(outputs, axis=1)
    return np.where(_are_sound(low, high), np.minimum(high, 1.0).astype(np.float64), _NAN)


def margin(outputs: Array) -> Array:
    """Return the lead of the likeliest class over the next; a model of one class leads by all it has."""
    ranked = np.sort(outputs, axis=1).astype(np.float64)
    top = ranked[:, -1]
    # Sorting puts NaN last, so the two ends show whether the row is sound.
    sound = _are_sound(ranked[:, 0], top)
    next_best = ranked[:, -2] if ranked.shape[1] > 1 else np.zeros_like(top)
    lead = np.subtract(top, next_best, out=np.full_like(top, _NAN), where=sound)
    return np.minimum(lead, 1.0)


def entropy(outputs: Array) -> Array:
    """Return 1 - H(p) / ln(classes): 1 when one class has all the probability, 0 when all share alike."""
    probabilities = outputs.astype(np.float64)
    low = np.minimum.reduce(probabilities, axis=1)
    high = np.maximum.reduce(probabilities, axis=1)
    sound = _are_sound(low, high)
    probabilities[~sound] = 1.0  # the logarithm of what is no probability would warn
    np.clip(probabilities, 0.0, 1.0, out=probabilities)
    spread = -np.add.reduce(probabilities * np.log(probabilities + _TINY), axis=1)
    most = math.log(max(2, outputs.shape[1]))
    return np.where(sound, np.clip(1.0 - spread / most, 0.0, 1.0), _NAN)


def _likeliest(row: list[float]) -> float:
    # The sum is checked for NaN because max and min may or may not see one.
    top = max(row)
    if top > _MOST or min(row) < _LEAST or math.isnan(sum(row)):
        return math.nan
    return min(top, 1.0)


def _are_sound(low: Array, high: Array) -> Array:
    # As float64, like a single row: in float32 the ends would be others.
    return (low >= np.float64(_LEAST)) & (high <= np.float64(_MOST))


MEASURES: Final[dict[str, Measure]] = {
    "max_probability": max_probability,
    "margin": margin,
    "entropy": entropy,
}
"""The scores that a certificate may name."""
