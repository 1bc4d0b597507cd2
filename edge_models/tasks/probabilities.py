"""From what a model gives to probabilities: as they are, or by softmax or sigmoid from logits."""

from __future__ import annotations

import math
from typing import Final, Literal

import numpy as np

from edge_models.confidence import SLACK
from gateway.core.tensor import Array

Values = Literal["probabilities", "logits"]

SUM_TOLERANCE: Final = 0.01
"""How far a row of probabilities may be from 1 in sum: float16 and int8 models round so much."""


def softmax(logits: Array) -> Array:
    """Return ``float64`` of the same shape that sums to 1 along the last axis; a row with NaN stays NaN."""
    raised = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, as it should be
        powers = np.exp(raised - raised.max(axis=-1, keepdims=True))
        shares: Array = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def sigmoid(logits: Array) -> Array:
    """Return ``float64`` of the same shape, in 0 … 1; what is not finite becomes NaN."""
    # exp of what is never above 0 cannot overflow, on either side of it.
    falling = np.exp(-np.abs(logits.astype(np.float64)))
    return where(np.isfinite(logits), np.where(logits >= 0, 1.0, falling) / (1.0 + falling))


def two_classes(p: Array) -> Array:
    """Return ``[..., 2]``: the probability against, and that for."""
    return np.stack([1.0 - p, p], axis=-1)


def are_probabilities(output: Array) -> bool:
    """Whether every finite number lies in 0 … 1, but for rounding, and there is one."""
    finite = output[np.isfinite(output)]
    return bool(finite.size) and bool(((finite >= -SLACK) & (finite <= 1 + SLACK)).all())


def sum_to_one(output: Array) -> bool:
    """Whether every finite row along the last axis holds probabilities that sum to 1, and there is one."""
    rows = output.reshape(-1, output.shape[-1]).astype(np.float64)
    rows = rows[np.isfinite(rows).all(axis=1)]
    return are_probabilities(rows) and bool((np.abs(rows.sum(axis=1) - 1.0) <= SUM_TOLERANCE).all())


def every(parts: Array) -> Array:
    """Return ``bool [rows]``: all of the row's parts hold."""
    return np.asarray(parts.all(axis=1))


def some(parts: Array) -> Array:
    """Return ``bool [rows, 1]``: any of the row's parts holds."""
    return np.asarray(parts.any(axis=1, keepdims=True))


def as_rows(output: Array) -> Array:
    """Return ``[rows, numbers]``, also where there are none of either."""
    return output.reshape(len(output), math.prod(output.shape[1:]))


def is_finite(output: Array) -> Array:
    """Return ``bool [rows]``: every number of the row is finite; what is no number at all is."""
    rows = as_rows(output)
    if rows.dtype.kind != "f":
        return np.ones(len(rows), np.bool_)
    return every(np.isfinite(rows))


def names_one(output: Array) -> Array:
    """Return ``bool``, along the last axis: one is the likeliest. Minus infinity is what masks write."""
    best = output.max(axis=-1)  # NaN, where there is one
    return np.asarray(np.isfinite(best))


def where(sound: Array, score: Array | float = 1.0) -> Array:
    """Return ``float64``: the score where it is sound, else NaN."""
    scores: Array = np.where(sound, score, np.nan)
    return scores
