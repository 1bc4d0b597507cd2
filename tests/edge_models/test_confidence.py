"""The measures of confidence: bounded, monotone, and silent about what is no probability."""

from __future__ import annotations

import math
import timeit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.confidence import MEASURES, Measure, max_probability
from gateway.core.tensor import Array

measures = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)


def softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def logits(rows: int = 5, classes: int = 10) -> st.SearchStrategy[Array]:
    row = st.lists(st.floats(-30, 30, width=32), min_size=classes, max_size=classes)
    return st.lists(row, min_size=1, max_size=rows).map(np.array)


@measures
@given(rows=logits())
def test_scores_lie_between_0_and_1(measure: Measure, rows: Array) -> None:
    """Every row of probabilities has a float64 score in [0, 1]."""
    scores = measure(softmax(rows))

    assert scores.dtype == np.float64
    assert scores.shape == (len(rows),)
    assert ((scores >= 0) & (scores <= 1)).all()


@measures
@given(rows=logits(), raise_by=st.floats(0, 5))
def test_a_larger_lead_never_lowers_the_score(measure: Measure, rows: Array, raise_by: float) -> None:
    """Raising the top logit alone never makes a row less sure."""
    surer = rows.copy()
    surer[np.arange(len(rows)), rows.argmax(axis=1)] += raise_by

    assert (measure(softmax(surer)) >= measure(softmax(rows)) - 1e-6).all()


@measures
@given(rows=logits(rows=40))
def test_a_row_scores_alike_alone_and_among_others(measure: Measure, rows: Array) -> None:
    """The score of a row is the same bits whatever the other rows are."""
    probabilities = softmax(rows)
    together = measure(probabilities)

    alone = np.concatenate([measure(probabilities[i : i + 1]) for i in range(len(rows))])

    assert together.tobytes() == alone.tobytes()


@measures
@pytest.mark.parametrize("ill", [math.nan, math.inf, -math.inf, -0.1, 1.5])
@pytest.mark.parametrize("place", [0, 4, 9])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_no_probability_passes_no_threshold(
    measure: Measure, ill: float, place: int, dtype: type
) -> None:
    """One NaN, infinity or number outside 0 … 1 makes its row defer, alone and among sound neighbours."""
    row = np.full((3, 10), 0.01, dtype)
    row[:, 2] = 0.91
    sound = measure(row)
    row[1, place] = ill

    scores = measure(row)

    assert not scores[1] >= 0
    assert not measure(row[1:2])[0] >= 0
    assert scores[[0, 2]].tolist() == sound[[0, 2]].tolist()


@measures
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_beyond_the_ends_is_none_of_the_models_fault(measure: Measure, dtype: type) -> None:
    """Sums of votes end a hair outside 0 … 1; the score stays within, alone and among others."""
    rows = np.array([[1 + 1e-6, -3e-7, 0.0], [0.5, 0.5, -1e-7]], dtype)

    scores = measure(rows)

    assert scores[0] == pytest.approx(1.0, abs=1e-5)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert measure(rows[:1]).tobytes() == scores[:1].tobytes()


@measures
def test_two_infinities_defer_without_a_warning(measure: Measure) -> None:
    """Infinities of both signs, and two of one sign, neither pass nor warn."""
    rows = np.array([[math.inf, math.inf, 0.1], [math.inf, -math.inf, 0.1], [-math.inf, -math.inf, 0.1]])

    alone = [measure(rows[i : i + 1])[0] for i in range(3)]

    assert np.isnan(measure(rows)).all()
    assert np.isnan(alone).all()


@measures
def test_the_ends_of_the_scale(measure: Measure) -> None:
    """All probability on one class scores 1; equal shares score lowest."""
    certain, torn = np.eye(10, dtype=np.float32)[:1], np.full((1, 10), 0.1, np.float32)

    assert measure(certain)[0] == pytest.approx(1.0, abs=1e-9)
    assert measure(torn)[0] == pytest.approx(0.1 if measure is max_probability else 0.0, abs=1e-6)


@measures
def test_a_model_of_one_class_can_be_scored(measure: Measure) -> None:
    """With a single class, certainty is 1."""
    assert measure(np.ones((2, 1), np.float32)).tolist() == [1.0, 1.0]


@measures
def test_a_measure_leaves_the_outputs_alone(measure: Measure) -> None:
    """Outputs are shared with the answer, and read-only."""
    outputs = np.array([[0.7, 0.3], [math.nan, 0.5]], np.float32)
    outputs.flags.writeable = False
    before = outputs.tobytes()

    measure(outputs)

    assert outputs.tobytes() == before


def test_a_row_of_many_classes_is_scored_alike_alone() -> None:
    """Beyond the classes that plain Python scores, one row still gets the bits that it gets among others."""
    rows = softmax(np.random.default_rng(3).normal(0, 5, (4, 1000)))

    assert max_probability(rows[:1]).tobytes() == max_probability(rows)[:1].tobytes()


def test_one_row_is_scored_in_microseconds() -> None:
    """The measure runs on every request: under 25 µs for one row even on a busy machine."""
    row = softmax(np.arange(10.0)[np.newaxis])

    seconds = min(timeit.repeat(lambda: max_probability(row), number=500, repeat=9)) / 500

    assert seconds < 25e-6
