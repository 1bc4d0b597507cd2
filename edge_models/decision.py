"""What a certificate speaks for: which outputs, what "the same" means for each, and how sure is measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge_models.tasks.classification import Binary, Multiclass, Multilabel
from edge_models.tasks.plain import Embedding, Exact, Regression
from edge_models.tasks.probabilities import some
from edge_models.tasks.rule import ALWAYS, SPREAD
from edge_models.tasks.sequence import Sequence
from gateway.core.tensor import Array

Task = Literal["multiclass", "binary", "multilabel", "regression", "embedding", "sequence", "exact"]
Output = Multiclass | Binary | Multilabel | Regression | Embedding | Sequence | Exact
Named = Annotated[str, msgspec.Meta(min_length=1)]


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The outputs that decide.

    ``task``: of one of ``outputs`` at least. ``outputs``: all that a certified answer may hold, in the order
    in which it does; an answer is another when any of them is. ``left_out``: outputs that are no part of the
    decision; a request that gets one gets no certified answer. ``score``: how sure is measured; with
    ``spread`` by ``score_output``, which the edge model alone need have: [rows] or [rows, 1] is the spread
    itself, [rows, members] those whose standard deviation it is.
    """

    task: Task
    outputs: Annotated[tuple[Output, ...], msgspec.Meta(min_length=1)]
    left_out: tuple[Named, ...]
    score: Named
    score_output: str

    def names(self) -> tuple[str, ...]:
        """Return the outputs that decide, in the order of a certified answer."""
        return tuple(rule.name for rule in self.outputs)

    def classes(self) -> frozenset[str]:
        """Return the outputs of which the likeliest class is what decides."""
        return frozenset(rule.name for rule in self.outputs if isinstance(rule, Multiclass))

    def read(self) -> frozenset[str]:
        """Return the outputs that scoring looks at."""
        return frozenset(self.names()) | ({self.score_output} if self.score_output else set())

    def problem(self) -> str:
        """Return the field that makes no sense beside the others; empty: none."""
        names = self.names()
        if len({*names, *self.left_out}) < len(names) + len(self.left_out):
            return "outputs"
        if self.task not in {rule.__struct_config__.tag for rule in self.outputs}:
            return "task"
        if (self.score == SPREAD) != bool(self.score_output):
            return "score_output"
        return "" if self.score in scores_of(self.outputs) else "score"

    def differs(
        self, edge: Mapping[str, Array], central: Mapping[str, Array], *, as_one: bool = False
    ) -> Array:
        """Return ``bool [rows, parts]``: where edge and central give another answer.

        Each part is bounded by itself: the outputs as one, and each label of those that are ``per`` label.
        ``as_one``: the answer is one, [1, parts], however many rows each output has.
        """
        whole: list[Array] = []
        apart: list[Array] = []
        for rule in self.outputs:
            differ = _differs(rule, edge[rule.name], central[rule.name])
            if as_one:
                differ = np.asarray(differ.any(axis=0, keepdims=True))
            (apart if _is_per_label(rule) else whole).append(differ)
        if whole:
            apart.append(some(np.concatenate(whole, axis=1)))
        return np.concatenate(apart, axis=1)

    def confidences(self, outputs: Mapping[str, Array]) -> list[Array]:
        """Return scores ``float64 [rows]``, one array per output that counts.

        The edge is as sure as the least of them; NaN is not sure.
        """
        score = self.score
        found = [
            rule.scores(outputs[rule.name], score) if score in rule.SCORES else rule.sound(outputs[rule.name])
            for rule in self.outputs
        ]
        if self.score_output:
            found.append(self._spread(outputs[self.score_output]))
        return found

    def is_sure(self, outputs: Mapping[str, Array], threshold: float) -> bool:
        """Whether every row reaches ``threshold`` by every output. NaN does not, nor does no row at all."""
        # Most requests have few rows, for which Python's comparison is quicker than numpy's.
        return all(
            scores.size > 0 and all(score >= threshold for score in scores.tolist())
            for scores in self.confidences(outputs)
        )

    def _spread(self, output: Array) -> Array:
        if not output.size or not output.ndim:
            return np.full(output.shape[:1] or (1,), np.nan)
        members = output.astype(np.float64).reshape(
            len(output), output.shape[1] if output.ndim > 1 else 1, -1
        )
        with np.errstate(invalid="ignore"):
            wide = members[:, 0] if members.shape[1] == 1 else members.std(axis=1)
            spread = wide.max(axis=1)
            scores: Array = np.where(spread >= 0, 1.0 / (1.0 + spread / self._unit()), np.nan)
        return scores

    def _unit(self) -> float:
        """Return the spread that scores one half: the tolerance, where there is one."""
        tolerances = [
            rule.absolute for rule in self.outputs if isinstance(rule, Regression) and rule.absolute
        ]
        return min(tolerances, default=1.0)


def scores_of(outputs: Collection[Output]) -> tuple[str, ...]:
    """Return the scores that may be chosen for these outputs, the usual one first."""
    own = dict.fromkeys(score for rule in outputs for score in rule.SCORES)
    return (*own, ALWAYS, SPREAD)


def _is_per_label(rule: Output) -> bool:
    return isinstance(rule, Multilabel) and rule.per == "label"


def _differs(rule: Output, edge: Array, central: Array) -> Array:
    if len(edge) == len(central):
        return rule.differs(edge, central)
    parts = central.shape[1] if _is_per_label(rule) else 1
    return np.ones((max(1, len(central)), parts), np.bool_)
