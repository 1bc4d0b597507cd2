"""Values: within a tolerance, of one direction, of the same bytes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edge_models.tasks.plain import Embedding, Exact, Regression
from gateway.core.tensor import Array


def column(*numbers: float) -> Array:
    return np.array(numbers)[:, np.newaxis]


def differing(rule: Any, edge: Array, central: Array) -> list[bool]:
    return list(rule.differs(edge, central).ravel().tolist())


def test_regression_within_the_larger_tolerance() -> None:
    """Absolute near 0, relative far from it; at the tolerance is within."""
    rule = Regression(name="o", absolute=0.5, relative=0.1)

    assert differing(rule, column(0.5, 0.6, 109, 111, -111), column(0, 0, 100, 100, -100)) == [
        *(False, True, False, True, True)
    ]
    assert str(rule) == "regression, ± 0.5 or ± 10.000%"


@pytest.mark.parametrize("ill", [math.nan, math.inf])
def test_what_is_not_finite_equals_nothing(ill: float) -> None:
    """Not even itself."""
    rule = Regression(name="o", relative=1.0)

    assert differing(rule, column(ill, 1, ill), column(1, ill, ill)) == [True, True, True]
    assert np.isnan(rule.sound(column(ill))).all()


def test_embedding_is_a_direction() -> None:
    """Length does not matter; what has no direction is like nothing."""
    rule = Embedding(name="o", cosine=0.9)
    edge = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, math.nan]])
    central = np.array([[1.0, 0.1], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])

    assert differing(rule, edge, central) == [False, True, True, True]
    assert rule.sound(edge)[:2].tolist() == [1, 1]
    assert np.isnan(rule.sound(edge)[2:]).all()


@pytest.mark.parametrize(
    ("edge", "central", "differ"),
    [
        (np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 4.5]]), [False, True]),
        (np.array([0.0]), np.array([-0.0]), [True]),
        (np.array([1], np.int64), np.array([1], np.int32), [True]),
        (np.array([["a", "b"]], object), np.array([["a", "c"]], object), [True]),
        (np.array(["a"], object), np.array(["a"], object), [False]),
        (np.ones((2, 3)), np.ones((2, 4)), [True, True]),
        (np.ones((2, 0)), np.ones((2, 0)), [False, False]),
    ],
)
def test_exact_is_the_same_bytes(edge: Array, central: Array, differ: list[bool]) -> None:
    """And the same type and shape."""
    assert differing(Exact(name="o"), edge, central) == differ


@pytest.mark.parametrize("rule", [Regression(name="o", absolute=1), Embedding(name="o", cosine=0.5)])
def test_answers_of_another_shape_differ(rule: Any) -> None:
    """However near their numbers are."""
    assert differing(rule, np.ones((2, 3)), np.ones((2, 4))) == [True, True]


def test_numbers_are_needed() -> None:
    """Neither text nor a scalar is a value with a tolerance; a single number per row is no vector."""
    texts = np.array([["a"]], object)

    assert Regression(name="o").problem(texts)
    assert Embedding(name="o", cosine=0.5).problem(np.ones(3))
    assert not Regression(name="o").problem(np.ones(3))
    assert not Exact(name="o").problem(texts)
    assert str(Exact(name="o")) == "exact"
