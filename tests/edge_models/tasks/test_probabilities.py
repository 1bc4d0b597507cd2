"""Logits to probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_models.tasks.probabilities import are_probabilities, is_finite, sigmoid, softmax, sum_to_one


def test_softmax_sums_to_one_and_does_not_overflow() -> None:
    """Also of numbers whose exponential nobody can write down."""
    rows = softmax(np.array([[1e4, 0.0, -1e4], [0.0, 0.0, 0.0]], np.float32))

    assert rows.tolist() == [[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]


def test_sigmoid_is_exact_on_both_sides() -> None:
    """It neither overflows nor loses what is small."""
    assert sigmoid(np.array([0.0, 40.0, -40.0, 1e4, -1e4])).tolist() == [
        0.5,
        1 / (1 + math.exp(-40)),
        math.exp(-40) / (1 + math.exp(-40)),
        1.0,
        0.0,
    ]


@pytest.mark.parametrize("ill", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_probability(ill: float) -> None:
    """Its row is NaN, without a warning; its neighbour is not."""
    rows = np.array([[ill, 1.0], [0.0, 1.0]])

    assert np.isnan(sigmoid(rows)[0, 0])
    assert (softmax(rows)[0].tolist() == [0.0, 1.0]) is (ill == -math.inf)
    assert np.isfinite(softmax(rows)[1]).all()


@pytest.mark.parametrize(
    ("rows", "each", "together"),
    [
        ([[0.2, 0.8], [0.5, 0.5]], True, True),
        ([[0.2, 0.9], [0.5, 0.5]], True, False),
        ([[-1.0, 2.0]], False, False),
        ([[math.nan, 0.5], [0.25, 0.75]], True, True),
        ([[math.nan, math.nan]], False, False),
    ],
)
def test_what_rows_of_probabilities_are(rows: list[list[float]], each: bool, together: bool) -> None:
    """Rows that are not finite say nothing either way; nothing but such rows is no evidence."""
    assert are_probabilities(np.array(rows)) is each
    assert sum_to_one(np.array(rows)) is together


def test_whole_numbers_and_texts_are_finite() -> None:
    """They cannot be anything else."""
    assert is_finite(np.array([[1], [2]])).tolist() == [True, True]
    assert is_finite(np.array(["a"], object)).tolist() == [True]
    assert is_finite(np.array([[1.0, np.nan], [1.0, 2.0]])).tolist() == [False, True]
