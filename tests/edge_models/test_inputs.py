"""For which inputs a certificate was measured, and which requests have others."""

from __future__ import annotations

import numpy as np
import pytest

from edge_models.inputs import Input, Seen, are_of, value_digest
from gateway.core.catalog import TensorSpec
from gateway.core.request import Request
from gateway.core.tensor import Tensor

IMAGE = TensorSpec("image", "FP32", (-1, -1, 3))
MODE = TensorSpec("mode", "FP32", (1,))
ONE = Tensor.from_numpy("mode", np.array([1], np.float32))
MEASURED = (
    Input(name="image", shape=(-1, 8, 3), digest=""),
    Input(name="mode", shape=(1,), digest=value_digest(ONE.data)),
)


def request(*shape: int, mode: float = 1.0) -> Request:
    image = Tensor.from_numpy("image", np.zeros(shape, np.float32))
    return Request("m", (image, Tensor.from_numpy("mode", np.array([mode], np.float32))))


@pytest.mark.parametrize(
    ("incoming", "fits"),
    [
        (request(1, 8, 3), True),
        (request(5, 8, 3), True),
        (request(1, 9, 3), False),
        (request(1, 8, 3, mode=2.0), False),
        # What the model does not take it refuses itself, in its own words.
        (request(8, 3), True),
        (Request("m", ()), True),
    ],
)
def test_what_the_model_leaves_open_is_checked(incoming: Request, fits: bool) -> None:
    """Sizes other than the number of rows, and the values of constants."""
    assert Seen(MEASURED, (IMAGE, MODE)).fits(incoming) is fits


def test_a_model_that_takes_nothing_else_has_nothing_to_ask() -> None:
    """Only the number of rows is free, and any number was measured."""
    fixed = TensorSpec("image", "FP32", (-1, 8, 3))

    assert not Seen(MEASURED[:1], (fixed,))
    assert Seen((Input(name="image", shape=(1, 8, 3), digest=""),), (fixed,))
    assert Seen(MEASURED[:1], (IMAGE,))


@pytest.mark.parametrize(
    ("inputs", "batchable", "fits"),
    [
        (MEASURED, True, True),
        (MEASURED, False, False),
        (MEASURED[:1], True, False),
        ((MEASURED[0], MEASURED[0]), True, False),
        ((Input(name="image", shape=(1, 8, 3), digest=""), MEASURED[1]), False, True),
        ((Input(name="image", shape=(1, 8, 4), digest=""), MEASURED[1]), False, False),
        ((Input(name="image", shape=(8, 3), digest=""), MEASURED[1]), False, False),
        ((MEASURED[0], Input(name="mode", shape=(2,), digest="")), True, False),
    ],
)
def test_the_inputs_are_those_of_the_model(
    inputs: tuple[Input, ...],
    batchable: bool,
    fits: bool,
) -> None:
    """By name and by what it fixes; any number of rows only where it joins requests."""
    assert are_of(inputs, (IMAGE, MODE), batchable=batchable) is fits


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ([["a", "bc"]], True),
        ([["a", "bc"]] * 3, True),
        ([["a", "bc"], ["ab", "c"]], False),
        ([["b", "bc"]], False),
    ],
)
def test_a_column_that_never_changed(values: list[list[str]], fits: bool) -> None:
    """Every row of a request has the row that all of the sample had."""
    spec = TensorSpec("kind", "BYTES", (-1, 2))
    one = Tensor.from_numpy("kind", np.array([["a", "bc"]], object))
    seen = Seen((Input(name="kind", shape=(-1, 2), digest=value_digest(one.data)),), (spec,))

    assert seen.fits(Request("m", (Tensor.from_numpy("kind", np.array(values, object)),))) is fits
    assert seen.fits(Request("m", (Tensor("kind", "BYTES", (0, 2), b""),))) is False
