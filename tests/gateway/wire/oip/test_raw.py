"""Requests without JSON."""

from __future__ import annotations

import pytest

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import GatewayError
from gateway.wire.oip.raw import raw_inference


def model(*inputs: TensorSpec) -> ModelSpec:
    return ModelSpec("m", ("1",), "", inputs, ())


@pytest.mark.parametrize(
    ("datatype", "shape", "size", "found"),
    [
        ("FP32", (-1, 2), 8, (1, 2)),
        ("FP32", (-1,), 8, (2,)),
        ("FP32", (-1, -1), 12, (1, 3)),
        ("FP32", (2, 2), 16, (2, 2)),
        ("INT8", (1, -1, 2), 6, (1, 3, 2)),
        ("BYTES", (-1, 1), 5, (1, 1)),
        ("BYTES", (-1,), 5, (1,)),
    ],
)
def test_shapes(datatype, shape, size, found):
    """A batch of one, and whatever size the one free dimension has; BYTES are one element."""
    (tensor,) = raw_inference(model(TensorSpec("x", datatype, shape)), bytes(size)).inputs

    assert tensor.shape == found
    assert len(tensor.data) == size + 4 * (datatype == "BYTES")


@pytest.mark.parametrize(
    ("inputs", "size", "words"),
    [
        ([], 0, "Raw request must only have 1 input (found 1) to be deduced but got 0 inputs in 'm' model"),
        ([("FP32", (1,)), ("FP32", (1,))], 8, "but got 2 inputs in"),
        (
            [("FP32", (-1, -1, -1))],
            8,
            (
                "The shape of the raw input 'x0' can not be deduced because there are more than one "
                "variable-sized dimension"
            ),
        ),
        ([("FP32", (-1, 2))], 7, "input byte size mismatch for input 'x0' for model 'm'. Expected 8, got 7"),
        ([("FP32", (0, -1))], 7, "Expected 0, got 7"),
        ([("BYTES", (2,))], 7, "For BYTE datatype raw input 'x0', the model must have input shape [1]"),
    ],
)
def test_refusals(inputs, size, words):
    """More inputs, more free dimensions, or a body that does not fit: in the words that clients look for."""
    specs = [TensorSpec(f"x{place}", *spec) for place, spec in enumerate(inputs)]

    with pytest.raises(GatewayError) as caught:
        raw_inference(model(*specs), bytes(size))

    assert words in caught.value.message
