"""How sure a model is of each row of its answer: from class probabilities to one score per row.

Every measure takes probabilities ``[n, classes]`` and returns ``float64 [n]``: 1 is certainty, 0 is none.
A row that is no row of probabilities (NaN, an infinity, a number outside 0 … 1) scores NaN, and NaN is
not ``>=`` any threshold: such a row always defers. The scores are float64 whatever the outputs are, so
that ``score >= threshold`` decides alike for one row and for many, when certifying and when serving.

A measure only ranks rows. What a score is worth is proven by ``edge_models.certify``, per measure.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.core.tensor import Array

Measure = Callable[[Array], Array]

_NAN: Final = np.float64("nan")
_TINY: Final = np.finfo(np.float64).tiny
_FEW: Final = 64
"""Classes up to which plain Python scores one row, the usual request, faster than five calls of numpy."""


def max_probability(outputs: Array) -> Array:
    """Return the probability of the likeliest class."""
    if len(outputs) == 1 and outputs.size <= _FEW:
        return np.array([_likeliest(outputs[0].tolist())])
    low = np.minimum.reduce(outputs, axis=1)
    high = np.maximum.reduce(outputs, axis=1)
    return np.where((low >= 0) & (high <= 1), high, _NAN)


def margin(outputs: Array) -> Array:
    """Return the lead of the likeliest class over the next; a model of one class leads by all it has."""
    ranked = np.sort(outputs, axis=1).astype(np.float64)
    top = ranked[:, -1]
    # Sorting puts NaN last, so the two ends tell whether the row is sound.
    sound = (ranked[:, 0] >= 0) & (top <= 1)
    next_best = ranked[:, -2] if ranked.shape[1] > 1 else np.zeros_like(top)
    return np.subtract(top, next_best, out=np.full_like(top, _NAN), where=sound)


def entropy(outputs: Array) -> Array:
    """Return 1 - H(p) / ln(classes): 1 when one class has all the probability, 0 when all share alike."""
    probabilities = outputs.astype(np.float64)
    low = np.minimum.reduce(probabilities, axis=1)
    high = np.maximum.reduce(probabilities, axis=1)
    sound = (low >= 0) & (high <= 1)
    probabilities[~sound] = 1.0  # the logarithm of what is no probability would warn
    spread = -np.add.reduce(probabilities * np.log(probabilities + _TINY), axis=1)
    most = math.log(max(2, outputs.shape[1]))
    return np.where(sound, np.clip(1.0 - spread / most, 0.0, 1.0), _NAN)


def _likeliest(row: list[float]) -> float:
    # The sum is asked for NaN because max and min may or may not see one.
    top = max(row)
    return top if top <= 1 and min(row) >= 0 and not math.isnan(sum(row)) else math.nan


MEASURES: Final[dict[str, Measure]] = {
    "max_probability": max_probability,
    "margin": margin,
    "entropy": entropy,
}
"""The scores that a certificate may name."""
