"""Tasks whose answer is a class, or several that apply or do not."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec
import numpy as np

from edge_models.confidence import MEASURES, SLACK
from edge_models.tasks.probabilities import (
    Values,
    are_probabilities,
    names_one,
    sigmoid,
    softmax,
    some,
    sum_to_one,
    two_classes,
)
from edge_models.tasks.rule import DISTANCE, Rule
from gateway.core.tensor import Array

Probability = Annotated[float, msgspec.Meta(gt=0, lt=1)]
_OF_CLASSES: Final = tuple(MEASURES)
_MANY: Final = 16
"""Numbers, all of them between 0 and 1, that are no logits by chance."""


class Multiclass(Rule, frozen=True, kw_only=True, tag="multiclass", forbid_unknown_fields=True):
    """One of several classes; the same answer: the likeliest class is the same, of equals the first.

    ``values``: what the output holds, [rows, classes]. The softmax of logits is what is scored.
    """

    SCORES: ClassVar[tuple[str, ...]] = _OF_CLASSES

    values: Values

    def differs(self, edge: Array, central: Array) -> Array:
        """The likeliest class differs, or central's row names none: it has NaN, or no finite maximum."""
        differ = edge.argmax(axis=1) != central.argmax(axis=1)
        both: Array = (differ | ~names_one(central))[:, np.newaxis]
        return both

    def scores(self, output: Array, score: str) -> Array:
        """Return the measure of the classes' probabilities."""
        if output.ndim != 2 or output.shape[1] < 2:
            return self.unsure(output)
        return MEASURES[score](softmax(output) if self.values == "logits" else output)

    def problem(self, output: Array) -> str:
        """It must be [rows, classes], and probabilities must sum to 1."""
        if output.dtype.kind not in "fiu" or output.ndim != 2 or output.shape[1] < 2:
            return "must be numbers [rows, classes], at least 2 classes"
        if self.values == "probabilities" and not sum_to_one(output):
            return "has rows that are no probabilities which sum to 1: are they logits?"
        return ""

    def __str__(self) -> str:
        return "multiclass" + (", softmax applied" if self.values == "logits" else "")


class Binary(Rule, frozen=True, kw_only=True, tag="binary", forbid_unknown_fields=True):
    """Yes or no; the same answer: both at or above ``threshold``, or both below.

    The output is one column, or two whose second is the probability of yes. Of logits the sigmoid, or the
    softmax, is compared with ``threshold`` and scored.
    """

    SCORES: ClassVar[tuple[str, ...]] = (DISTANCE, *_OF_CLASSES)

    values: Values
    threshold: Probability

    def differs(self, edge: Array, central: Array) -> Array:
        """One is yes and the other no, or central's row is not finite."""
        own, theirs = self._yes(edge), self._yes(central)
        differ = (own >= self.threshold) != (theirs >= self.threshold)
        both: Array = (differ | ~np.isfinite(theirs))[:, np.newaxis]
        return both

    def scores(self, output: Array, score: str) -> Array:
        """Return how far the probability is from the threshold, or the measure of both classes."""
        if _columns(output) not in {1, 2}:
            return self.unsure(output)
        return two_class_scores(self._yes(output), score, self.threshold)

    def problem(self, output: Array) -> str:
        """It must have one column or two; two columns of probabilities must sum to 1."""
        if output.dtype.kind not in "fiu" or _columns(output) not in {1, 2}:
            return "must be numbers [rows], [rows, 1] or [rows, 2]"
        if problem := _of_values(self.values, output):
            return problem
        if self.values == "probabilities" and _columns(output) == 2 and not sum_to_one(output):
            return "has rows of two that do not sum to 1: is it multilabel?"
        return ""

    def __str__(self) -> str:
        return f"binary, yes from {self.threshold:g} on, {_read_as(self.values)}"

    def _yes(self, output: Array) -> Array:
        if _columns(output) == 2:
            rows = softmax(output) if self.values == "logits" else output.astype(np.float64)
            return rows[:, 1]
        column = output.reshape(len(output))
        return sigmoid(column) if self.values == "logits" else column.astype(np.float64)


class Multilabel(Rule, frozen=True, kw_only=True, tag="multilabel", forbid_unknown_fields=True):
    """Several labels, [rows, labels], each of which applies where its probability reaches ``threshold``.

    ``per`` set: the same answer is the same set of labels. ``per`` label: the risk is bounded for every label
    by itself, each at most alpha, all of them at once with the certificate's confidence.
    """

    SCORES: ClassVar[tuple[str, ...]] = (DISTANCE, *_OF_CLASSES)

    values: Values
    threshold: Probability
    per: Literal["set", "label"]

    def differs(self, edge: Array, central: Array) -> Array:
        """Label by label, or all of a row as one."""
        own, theirs = self._probabilities(edge), self._probabilities(central)
        differ = ((own >= self.threshold) != (theirs >= self.threshold)) | ~np.isfinite(theirs)
        return differ if self.per == "label" else some(differ)

    def scores(self, output: Array, score: str) -> Array:
        """Return the score of the label that is least sure."""
        if output.ndim != 2 or not output.shape[1]:
            return self.unsure(output)
        labels = two_class_scores(self._probabilities(output).ravel(), score, self.threshold)
        least: Array = np.minimum.reduce(labels.reshape(output.shape), axis=1)
        return least

    def problem(self, output: Array) -> str:
        """It must be [rows, labels]."""
        if output.dtype.kind not in "fiu" or output.ndim != 2 or not output.shape[1]:
            return "must be numbers [rows, labels]"
        return _of_values(self.values, output)

    def __str__(self) -> str:
        what = "every label" if self.per == "label" else "the set of labels"
        return f"multilabel, {what}, yes from {self.threshold:g} on, {_read_as(self.values)}"

    def _probabilities(self, output: Array) -> Array:
        return sigmoid(output) if self.values == "logits" else output.astype(np.float64)


def two_class_scores(p: Array, score: str, threshold: float) -> Array:
    """Return the score of each probability of ``p`` [n] that something applies.

    The distance is from ``threshold``, as a share of the way to 0 or 1 on its side; at one half it is
    twice ``|p - 1/2|``.
    """
    if score != DISTANCE:
        return MEASURES[score](two_classes(p))
    with np.errstate(invalid="ignore"):
        away = np.where(p >= threshold, (p - threshold) / (1.0 - threshold), (threshold - p) / threshold)
        scores: Array = np.where((p >= -SLACK) & (p <= 1 + SLACK), np.minimum(away, 1.0), np.nan)
    return scores


def _read_as(values: Values) -> str:
    return "sigmoid applied" if values == "logits" else "read as probabilities"


def _of_values(values: Values, output: Array) -> str:
    """Return why numbers cannot be what they are taken for. The sigmoid of a probability is always yes."""
    if are_probabilities(output):
        seems_otherwise = values == "logits" and output.size >= _MANY
        return "holds nothing but numbers from 0 to 1: are they probabilities?" if seems_otherwise else ""
    return (
        "has numbers outside 0 … 1, which are no probabilities: are they logits?"
        if values != "logits"
        else ""
    )


def _columns(output: Array) -> int:
    """Return the columns of [rows] or [rows, columns]; 0 for what has another rank."""
    if output.ndim == 1:
        return 1
    return int(output.shape[1]) if output.ndim == 2 else 0
