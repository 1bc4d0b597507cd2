"""Tasks whose answer is a value: numbers within a tolerance, a direction, or bytes."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from edge_models.tasks.probabilities import as_rows, every, some, where
from edge_models.tasks.rule import Rule
from gateway.core.tensor import Array

Tolerance = Annotated[float, msgspec.Meta(ge=0)]


class Regression(Rule, frozen=True, kw_only=True, tag="regression", forbid_unknown_fields=True):
    """Numbers of any shape; the same answer: each is within the tolerance of central's.

    Within ``absolute`` of it, or within ``relative`` times its magnitude, whichever is more. What is not
    finite equals nothing.
    """

    absolute: Tolerance = 0.0
    relative: Tolerance = 0.0

    def differs(self, edge: Array, central: Array) -> Array:
        """Any number of the row is out of tolerance, or one of the two is not finite."""
        if edge.shape != central.shape:
            return np.ones((len(central), 1), np.bool_)
        own, theirs = _flat(edge), _flat(central)
        with np.errstate(invalid="ignore"):
            near = np.abs(own - theirs) <= np.maximum(self.absolute, self.relative * np.abs(theirs))
        sound = np.isfinite(own) & np.isfinite(theirs)
        return some(~(near & sound))

    def problem(self, output: Array) -> str:
        """It must be numbers."""
        return "" if output.dtype.kind in "fiu" and output.ndim else "must be numbers [rows, …]"

    def __str__(self) -> str:
        parts = [f"± {self.absolute:g}"] if self.absolute else []
        parts += [f"± {self.relative:.3%}"] if self.relative else []
        return "regression, " + (" or ".join(parts) or "equal")


class Embedding(Rule, frozen=True, kw_only=True, tag="embedding", forbid_unknown_fields=True):
    """A direction; the same answer: the cosine of the angle to central's is at least ``cosine``."""

    cosine: Annotated[float, msgspec.Meta(gt=0, le=1)]

    def differs(self, edge: Array, central: Array) -> Array:
        """The angle is too wide, or one of the two has none: it is zero or not finite."""
        if edge.shape != central.shape:
            return np.ones((len(central), 1), np.bool_)
        own, theirs = _flat(edge), _flat(central)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(theirs, axis=1)
            cosine = np.add.reduce(own * theirs, axis=1) / lengths
            differ: Array = ~(cosine >= self.cosine)[:, np.newaxis]
        return differ

    def sound(self, output: Array) -> Array:
        """A vector of nothing but zeros has no direction to be sure of."""
        rows = _flat(output)
        return where(every(np.isfinite(rows)) & some(rows != 0)[:, 0])

    def problem(self, output: Array) -> str:
        """It must be vectors."""
        fits = output.dtype.kind in "fiu" and output.ndim > 1
        return "" if fits else "must be vectors of numbers [rows, dimensions]"

    def __str__(self) -> str:
        return f"embedding, cosine at least {self.cosine:g}"


class Exact(Rule, frozen=True, kw_only=True, tag="exact", forbid_unknown_fields=True):
    """Anything; the same answer: the same bytes."""

    def differs(self, edge: Array, central: Array) -> Array:
        """Any byte of the row, or its type or shape, differs."""
        if edge.shape != central.shape or edge.dtype != central.dtype:
            return np.ones((len(central), 1), np.bool_)
        own, theirs = _bytes(edge), _bytes(central)
        return some(np.asarray(own != theirs, np.bool_))

    def __str__(self) -> str:
        return "exact"


def _flat(output: Array) -> Array:
    return as_rows(output).astype(np.float64)


def _bytes(output: Array) -> Array:
    rows = as_rows(np.ascontiguousarray(output))
    if rows.dtype == np.object_:
        return rows
    return rows.view(np.uint8) if rows.shape[1] else np.empty((len(rows), 0), np.uint8)
