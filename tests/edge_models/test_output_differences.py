"""Two models' outputs: how far apart, in how many rows, and when nothing may be said."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.output_differences import OutputComparison, compare_specs
from gateway.core.catalog import TensorSpec

INF, NAN = np.inf, np.nan


def compare(old, new, datatype="FP32", shape=(-1, -1)):
    comparison = OutputComparison(TensorSpec("y", datatype, shape))
    comparison.add(np.asarray(old), np.asarray(new))
    return comparison.result()


def f32(*rows) -> np.ndarray:
    return np.array(rows, np.float32)


def test_classes_are_compared_by_value_and_by_argmax() -> None:
    result = compare(f32([0.2, 0.8], [0.6, 0.4]), f32([0.25, 0.75], [0.4, 0.6]))

    assert result.worst == pytest.approx(0.2)
    assert result.reach == pytest.approx(0.8)
    assert result.same == 0.5
    assert str(result) == "y FP32: worst difference 0.2 (values reach 0.8); argmax the same in 50.0% of rows"


def test_steps_of_a_sequence_are_rows() -> None:
    old = np.zeros((2, 3, 4), np.float32)
    new = old.copy()
    new[1, 2, 3] = 1

    assert compare(old, new, shape=(-1, -1, 4)).same == pytest.approx(5 / 6)


def test_one_probability_is_compared_by_its_side() -> None:
    """A sigmoid that says the opposite is near in no sense that matters."""
    result = compare(f32([0.51], [0.2]), f32([0.49], [0.1]), shape=(-1, 1))

    assert (result.same, result.same_of) == (0.5, "on the same side of 0.5 in")


@pytest.mark.parametrize("shape", [(-1, 1), (-1,)])
def test_a_number_that_is_no_probability_has_no_side(shape) -> None:
    result = compare(
        np.zeros(shape[1:] or 1, np.float32) + 7, np.zeros(shape[1:] or 1, np.float32) + 8, shape=shape
    )

    assert (result.worst, result.same) == (1, None)
    assert str(result) == "y FP32: worst difference 1 (values reach 7)"


@pytest.mark.parametrize(
    ("old", "new", "datatype", "worst"),
    [
        (np.array([1, 2]), np.array([1, 5]), "INT64", 3),
        (np.array(["a", "b"], object), np.array(["a", "c"], object), "BYTES", None),
        (np.array([True, False]), np.array([True, True]), "BOOL", None),
        (np.array([0, 255], np.uint8), np.array([0, 0], np.uint8), "UINT8", 255),
    ],
)
def test_what_is_no_float_is_the_same_or_not(old, new, datatype, worst) -> None:
    result = compare(old, new, datatype, (-1,))

    assert (result.same, result.worst) == (0.5, worst)


def test_batches_add_up() -> None:
    comparison = OutputComparison(TensorSpec("y", "FP32", (-1, 2)))
    for gap in (0.0, 3.0, 0.5):
        comparison.add(f32([0, 1]), f32([gap, 1]))

    assert comparison.result().worst == 3
    assert comparison.result().same == pytest.approx(2 / 3)
    assert "3" in repr(comparison)


def test_a_hundred_per_cent_means_all() -> None:
    """One row of ten thousand is not rounded away."""
    old = np.tile(f32([0, 1]), (10_000, 1))
    new = old.copy()
    new[0] = [1, 0]

    assert "99.9+% of rows" in str(compare(old, new))


def test_equal_infinities_are_equal() -> None:
    """A logarithm of nothing is the same nothing in both."""
    assert compare(f32([-INF, 1]), f32([-INF, 1.5])).worst == 0.5


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (f32([0, 1]), f32([0, NAN]), "its output 'y' is NaN"),
        (f32([NAN, 1]), f32([NAN, 1]), "the float model's output 'y' is NaN"),
        (f32([0, 1]), f32([0, INF]), "infinite where"),
        (f32([0, INF]), f32([0, 1]), "infinite where"),
        (f32([0, -INF]), f32([0, INF]), "infinite where"),
        (f32([0, 1]), f32([0, 1, 2]), r"float32 \[1, 3\] instead of float32 \[1, 2\]"),
        (f32([0, 1]), np.zeros((1, 2), np.float64), r"float64 \[1, 2\] instead of float32"),
    ],
)
def test_what_cannot_be_compared_is_refused(old, new, message) -> None:
    with pytest.raises(ValueError, match=message):
        compare(old, new)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (TensorSpec("z", "FP32", (-1, 2)), "its outputs are z instead of y"),
        (TensorSpec("y", "FP16", (-1, 2)), r"'y' is FP16 \[-1, 2\] instead of FP32 \[-1, 2\]"),
        (TensorSpec("y", "FP32", (4, 2)), r"FP32 \[4, 2\] instead of"),
    ],
)
def test_another_signature_is_refused(second, message) -> None:
    first = TensorSpec("y", "FP32", (-1, 2))
    compare_specs("output", [first], [first])

    with pytest.raises(ValueError, match=message):
        compare_specs("output", [first], [second])
