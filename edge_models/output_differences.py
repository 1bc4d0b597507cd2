"""What two models answer to the same inputs, compared output by output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np

from gateway.core.catalog import TensorSpec
from gateway.core.tensor import Array

_CLASS_RANKS: Final = (2, 3)
"""[rows, classes] and [rows, steps, classes]: the last dimension may be classes."""


class OutputDifference(msgspec.Struct, frozen=True):
    """How far one output of a model is from the same output of another, over a whole sample.

    ``worst`` is the largest absolute difference and ``reach`` the largest absolute value of the first model;
    None for texts and booleans. ``same`` is the share, in 0 … 1, of what ``same_of`` names.
    """

    name: str
    datatype: str
    worst: float | None
    reach: float | None
    same: float | None
    same_of: str

    def __str__(self) -> str:
        parts = []
        if self.worst is not None:
            parts.append(f"worst difference {self.worst:.3g} (values reach {self.reach:.3g})")
        if self.same is not None:
            parts.append(f"{self.same_of} {_share(self.same)}")
        return f"{self.name} {self.datatype}: {'; '.join(parts)}"


def compare_specs(kind: str, first: Sequence[TensorSpec], second: Sequence[TensorSpec]) -> None:
    """Check that two models take, or give, the same.

    Raises:
        ValueError: naming the first that differs.
    """
    if [spec.name for spec in first] != [spec.name for spec in second]:
        names = [", ".join(spec.name for spec in specs) for specs in (first, second)]
        raise ValueError(f"its {kind}s are {names[1]} instead of {names[0]}")
    for old, new in zip(first, second, strict=True):
        if old != new:
            raise ValueError(
                f"its {kind} '{new.name}' is {new.datatype} {list(new.shape)} instead of "
                f"{old.datatype} {list(old.shape)}"
            )


class OutputComparison:
    """Compares one output, batch after batch; ``result`` is the verdict so far."""

    def __init__(self, spec: TensorSpec) -> None:
        self._spec = spec
        self._worst = self._reach = 0.0
        self._values = self._equal = 0
        self._rows = self._agreeing = 0
        self._shares = True

    def __repr__(self) -> str:
        return f"<OutputComparison {self._spec.name} {self._values} values, worst {self._worst:.3g}>"

    def add(self, old: Array, new: Array) -> None:
        """Compare what both models gave for the same feed.

        Raises:
            ValueError: when they cannot be compared: another type or shape, NaN, an infinity on one side.
        """
        name = self._spec.name
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            raise ValueError(
                f"its output '{name}' is {new.dtype} {list(new.shape)} instead of "
                f"{old.dtype} {list(old.shape)}"
            )
        self._values += old.size
        self._equal += int(np.count_nonzero(old == new))
        if old.dtype.kind in "fiu" and old.size:
            self._add_numbers(old, new)
        if old.dtype.kind == "f":
            self._add_rows(old, new)

    def result(self) -> OutputDifference:
        """Return how far apart the batches so far are."""
        spec, kind = self._spec, self._spec.datatype
        numeric = kind not in {"BYTES", "BOOL"}
        same, same_of = None, ""
        if not kind.startswith("FP"):
            same, same_of = _ratio(self._equal, self._values), "the same in"
        elif self._classes() and self._rows:
            same, same_of = _ratio(self._agreeing, self._rows), "argmax the same in"
        elif self._shares and self._rows:
            same, same_of = _ratio(self._agreeing, self._rows), "on the same side of 0.5 in"
        return OutputDifference(
            spec.name,
            kind,
            self._worst if numeric else None,
            self._reach if numeric else None,
            same,
            same_of,
        )

    def _classes(self) -> bool:
        return len(self._spec.shape) in _CLASS_RANKS and self._spec.shape[-1] != 1

    def _add_numbers(self, old: Array, new: Array) -> None:
        name = self._spec.name
        for whose, values in (("the float model's", old), ("its", new)):
            if old.dtype.kind == "f" and np.isnan(values).any():
                raise ValueError(f"{whose} output '{name}' is NaN on the sample: it cannot be compared")
        first, second = old.astype(np.float64), new.astype(np.float64)
        # Equal infinities, such as the logarithm of nothing, differ by nothing; inf - inf would be NaN.
        differing = first != second
        gaps = np.abs(first[differing] - second[differing])
        if not np.isfinite(gaps).all():
            raise ValueError(
                f"its output '{name}' is infinite where the float model's is not, or the reverse"
            )
        self._worst = max(self._worst, float(gaps.max(initial=0.0)))
        finite = np.abs(first[np.isfinite(first)])
        self._reach = max(self._reach, float(finite.max(initial=0.0)))

    def _add_rows(self, old: Array, new: Array) -> None:
        if self._classes() and old.ndim in _CLASS_RANKS and old.shape[-1]:
            agree: Any = old.argmax(axis=-1) == new.argmax(axis=-1)
        else:
            self._shares &= bool(old.min(initial=0) >= 0 and old.max(initial=0) <= 1)
            agree = (old >= 0.5) == (new >= 0.5)
        self._rows += int(agree.size)
        self._agreeing += int(np.count_nonzero(agree))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _share(share: float) -> str:
    """Return a percentage that is 100 only when nothing differs."""
    shown = f"{share:.1%}"
    return ("99.9+%" if shown == "100.0%" and share < 1 else shown) + " of rows"
