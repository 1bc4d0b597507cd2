"""Classes: when two answers are the same, and how sure one is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edge_models.tasks.classification import Binary, Multiclass, Multilabel
from gateway.core.tensor import Array


def rows(*numbers: Any) -> Array:
    return np.array(numbers, np.float32)


MULTICLASS = Multiclass(name="o", values="probabilities")
BINARY = Binary(name="o", values="probabilities", threshold=0.5)
SET = Multilabel(name="o", values="probabilities", threshold=0.5, per="set")
LABEL = Multilabel(name="o", values="probabilities", threshold=0.5, per="label")


def test_multiclass_is_the_likeliest() -> None:
    """Of equals the first, on both sides; central's NaN names none."""
    edge = rows([0.6, 0.4], [0.5, 0.5], [0.4, 0.6], [0.6, 0.4])
    central = rows([0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [math.nan, 0.1])

    assert MULTICLASS.differs(edge, central).tolist() == [[False], [False], [True], [True]]


def test_multiclass_of_logits_scores_their_softmax() -> None:
    """As if the model had ended with it."""
    rule = Multiclass(name="o", values="logits")

    assert rule.scores(rows([0.0, math.log(3)]), "max_probability").tolist() == [pytest.approx(0.75)]
    assert str(rule) == "multiclass, softmax applied"


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 2)])
def test_binary_takes_one_column_or_two(shape: tuple[int, ...]) -> None:
    """At the threshold it is yes; the second of two columns is the probability of yes."""
    yes = np.array([0.5, 0.49, 0.9, math.nan])
    output = np.stack([1 - yes, yes], axis=1) if shape == (4, 2) else yes.reshape(shape)
    other = output[::-1].copy()

    assert BINARY.differs(output, output).ravel().tolist() == [False, False, False, True]
    assert BINARY.differs(output, other).ravel().tolist() == [True, True, True, True]
    assert BINARY.scores(output, "distance")[:3].tolist() == pytest.approx([0, 0.02, 0.8])
    assert np.isnan(BINARY.scores(output, "distance")[3])


def test_binary_at_another_threshold() -> None:
    """The distance is from there, as a share of the way to 0 or 1."""
    rule = Binary(name="o", values="logits", threshold=0.8)
    logits = rows([math.log(4)], [0.0], [50.0], [-50.0])

    assert rule.differs(logits, rows([0.0], [0.0], [50.0], [50.0])).ravel().tolist() == [
        True,
        False,
        False,
        True,
    ]
    assert rule.scores(logits, "distance").tolist() == pytest.approx([0, 0.375, 1, 1], abs=1e-6)
    assert str(rule) == "binary, yes from 0.8 on, sigmoid applied"


def test_binary_has_the_scores_of_two_classes_as_well() -> None:
    """Whichever the certificate names."""
    assert BINARY.scores(rows([0.2]), "max_probability").tolist() == [pytest.approx(0.8)]
    assert BINARY.scores(rows([0.2]), "margin").tolist() == [pytest.approx(0.6)]


def test_multilabel_as_a_set_and_label_by_label() -> None:
    """As sure as the label that is least sure."""
    edge, central = rows([0.9, 0.2, 0.6], [0.9, 0.2, 0.6]), rows([0.8, 0.3, 0.4], [0.8, 0.1, 0.9])

    assert SET.differs(edge, central).tolist() == [[True], [False]]
    assert LABEL.differs(edge, central).tolist() == [[False, False, True], [False, False, False]]
    assert SET.scores(edge, "distance").tolist() == pytest.approx([0.2, 0.2])
    assert np.isnan(SET.scores(rows([0.9, math.nan, 0.6]), "distance")).all()


@pytest.mark.parametrize(
    ("rule", "output", "message"),
    [
        (MULTICLASS, rows([0.4], [0.6]), "at least 2 classes"),
        (MULTICLASS, rows([0.4, 0.9]), "are they logits"),
        (BINARY, rows([0.1, 0.2, 0.7]), "[rows, 1] or [rows, 2]"),
        (BINARY, rows([-3.0]), "are they logits"),
        (BINARY, rows([0.5, 0.9]), "is it multilabel"),
        (SET, rows(0.5), "[rows, labels]"),
        (SET, rows([4.0, 0.1]), "are they logits"),
        (MULTICLASS, np.array([["a", "b"]]), "must be numbers"),
        (MULTICLASS, rows([0.4, 0.6]), ""),
        (BINARY, rows(0.4, 0.6), ""),
        (SET, rows([0.4, 0.9]), ""),
    ],
)
def test_outputs_of_another_kind_are_refused(rule: Any, output: Array, message: str) -> None:
    """And those of the right one are not."""
    problem = rule.problem(output)

    assert message in problem
    assert bool(problem) is bool(message)


@pytest.mark.parametrize(
    ("rule", "shape"), [(MULTICLASS, (2, 1)), (BINARY, (2, 3)), (SET, (2,)), (SET, (2, 0))]
)
def test_an_output_of_another_shape_is_never_sure(rule: Any, shape: tuple[int, ...]) -> None:
    """It was not certified; NaN reaches no threshold."""
    assert np.isnan(rule.scores(np.ones(shape), rule.SCORES[0])).all()


def test_masked_classes_are_no_fault() -> None:
    """A row names a class if it has no NaN and its maximum is finite: minus infinity is what a mask writes."""
    rule = Multiclass(name="o", values="logits")
    logits = np.array([[-np.inf, 9, 0], [-np.inf] * 3, [np.inf, 0, 0], [np.nan, 1, 0]])

    assert rule.differs(logits, logits)[:, 0].tolist() == [False, True, True, True]
    assert np.isfinite(rule.scores(logits, "max_probability")).tolist() == [True, False, False, False]
