"""Outputs as their highest elements."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.core.errors import GatewayError
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip.classification import class_count, classify


def highest(array, count):
    response = Response("m", "1", (Tensor.from_numpy("y", np.array(array)),), Provenance("edge"))
    (tensor,) = classify(response, {"y": count}).outputs
    return tensor.shape, tensor.numpy().ravel().tolist()


@pytest.mark.parametrize(
    ("array", "count", "shape", "texts"),
    [
        (np.float32([0.5, 2, np.nan, 2]), 2, (2,), [b"2.000000:1", b"2.000000:3"]),
        (np.int8([[1, -3], [4, 5]]), 1, (2, 1), [b"1:0", b"5:1"]),
        (np.uint8([7, 9]), 9, (2,), [b"9:1", b"7:0"]),
        (np.float64([[np.nan, 1]]), 2, (1, 2), [b"1.000000:1", b"nan:0"]),
    ],
)
def test_highest(array, count, shape, texts):
    """Value and index, the highest first, each row of a batch by itself; as many as there are."""
    assert highest(array, count) == (shape, texts)


def test_others_stay():
    """An output that is not named stays as it is; text cannot be classified."""
    text = Tensor.from_numpy("t", np.array([b"a"], object))
    response = Response("m", "1", (text,), Provenance("edge"))

    assert classify(response, {"y": 1}).outputs == (text,)
    with pytest.raises(GatewayError):
        classify(response, {"t": 1})


@pytest.mark.parametrize("value", [-1, True, "3", 1.5, 1 << 17])
def test_bad_counts(value):
    """A count is a whole number within reason."""
    with pytest.raises(GatewayError):
        class_count("y", value)
    assert class_count("y", 3) == 3
