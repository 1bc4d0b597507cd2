"""What every task of certificates has in common."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

import msgspec
import numpy as np

from edge_models.tasks.probabilities import is_finite, where
from gateway.core.tensor import Array

ALWAYS: Final = "always"
"""The score of a model that does not know how sure it is: 1 for whatever is finite."""

SPREAD: Final = "spread"
"""How far the members of an ensemble are apart, which is read from another output."""

DISTANCE: Final = "distance"
"""How far a probability is from the threshold that decides: |p - 1/2|, scaled to 0 … 1."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, tag_field="task", forbid_unknown_fields=True):
    """What "the same answer" means for the output ``name``.

    ``SCORES``: the scores that the output itself gives, the usual one first; none where it gives none.
    """

    SCORES: ClassVar[tuple[str, ...]] = ()

    name: Annotated[str, msgspec.Meta(min_length=1)]

    def differs(self, edge: Array, central: Array) -> Array:
        """Return ``bool [rows, parts]``: where the answers differ. The two have one number of rows."""
        raise NotImplementedError

    def scores(self, output: Array, score: str) -> Array:  # noqa: ARG002 - of tasks that have scores
        """Return ``float64 [rows]``; ``score`` is one of ``SCORES``."""
        return self.sound(output)

    def sound(self, output: Array) -> Array:
        """Return ``float64 [rows]``: 1 where the row is finite, else NaN."""
        return where(is_finite(output))

    def problem(self, output: Array) -> str:  # noqa: ARG002 - of tasks that cannot read everything
        """Return why the task cannot read this output; empty where it can."""
        return ""

    def unsure(self, output: Array) -> Array:
        """Return NaN for each row: an output of another shape than certified is never sure."""
        return np.full(output.shape[:1] or (1,), np.nan)
