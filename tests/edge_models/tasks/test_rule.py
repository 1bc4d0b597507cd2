"""What every rule says of an output, whatever its task."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from edge_models.tasks.plain import Exact
from edge_models.tasks.rule import Rule

RULE = Exact(name="y")


def test_rows_that_are_not_finite_have_no_score() -> None:
    """A score of NaN is under every threshold."""
    output = np.array([[1.0, 2.0], [1.0, math.inf], [math.nan, 2.0]])

    assert np.array_equal(RULE.scores(output, "always"), [1.0, math.nan, math.nan], equal_nan=True)
    assert np.array_equal(RULE.sound(output), RULE.scores(output, "always"), equal_nan=True)


@pytest.mark.parametrize(("output", "rows"), [(np.zeros((3, 2)), 3), (np.float64(1), 1)])
def test_output_of_another_shape_is_never_sure(output: np.ndarray, rows: int) -> None:
    """One NaN for each row; an output without rows is one."""
    unsure = Rule(name="y").unsure(output)

    assert unsure.shape == (rows,)
    assert np.isnan(unsure).all()


def test_any_output_can_be_read_unless_a_task_says_otherwise() -> None:
    assert Rule(name="y").problem(np.zeros(3)) == ""


def test_comparing_is_each_tasks_own() -> None:
    with pytest.raises(NotImplementedError):
        Rule(name="y").differs(np.zeros(1), np.zeros(1))


def test_output_has_a_name() -> None:
    with pytest.raises(msgspec.ValidationError, match="length >= 1"):
        msgspec.convert({"task": "exact", "name": ""}, Exact)
