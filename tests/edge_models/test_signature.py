"""What a model takes, checked before anything is queued."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_models.signature import Signature
from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Tensor

SPEC = ModelSpec(
    "digits",
    ("1",),
    "onnxruntime_onnx",
    (TensorSpec("image", "FP32", (-1, 4)), TensorSpec("mask", "BOOL", (-1, 2))),
    (TensorSpec("label", "INT64", (-1,)), TensorSpec("probabilities", "FP32", (-1, 3))),
)
SIGNATURE = Signature(SPEC, max_rows=8)


def image(*shape: int, name: str = "image") -> Tensor:
    return Tensor.from_numpy(name, np.zeros(shape, np.float32))


def mask(*shape: int) -> Tensor:
    return Tensor.from_numpy("mask", np.zeros(shape, np.bool_))


def test_right_inputs_are_accepted_in_any_order():
    """Inputs are found by name; the rows are the first dimension that all share."""
    feed, rows = SIGNATURE.accept([mask(3, 2), image(3, 4)])

    assert (sorted(feed), rows) == (["image", "mask"], 3)
    assert feed["image"].shape == (3, 4)
    assert repr(SIGNATURE) == "<Signature digits image, mask -> label, probabilities>"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ([image(1, 4, name="x")], "unexpected inference input 'x' for model 'digits'"),
        (
            [image(1, 4)],
            (
                "expected 2 inputs but got 1 inputs for model 'digits'. Got input(s) ['image'], but missing "
                "required input(s) ['mask']. Please provide all required input(s)."
            ),
        ),
        (
            [],
            (
                "expected 2 inputs but got 0 inputs for model 'digits'. Got input(s) [], but missing required "
                "input(s) ['image','mask']. Please provide all required input(s)."
            ),
        ),
        ([image(1, 4), image(1, 4)], "input 'image' already exists in request for model 'digits'"),
        (
            [Tensor("image", "INT8", (1, 4), b"1234")],
            "inference input 'image' data-type is 'INT8', but model 'digits' expects 'FP32'",
        ),
        (
            [image(1, 5)],
            "unexpected shape for input 'image' for model 'digits'. Expected [-1,4], got [1,5]",
        ),
        ([image(4)], "unexpected shape for input 'image' for model 'digits'. Expected [-1,4], got [4]"),
        (
            [Tensor("image", "FP32", (1,) * 1000, b"1234")],
            "unexpected shape for input 'image' for model 'digits'. Expected [-1,4], got 1000 dimensions",
        ),
        (
            [Tensor("image", "FP32", (1, 10**5000), b"1234")],
            "unexpected shape for input 'image' for model 'digits'. Expected [-1,4], got [1,9223372036854775807]",
        ),
        ([image(0, 4)], "inference request batch-size must be > 0 for 'digits'"),
        (
            [Tensor("image", "FP32", (-1, 4), b"")],
            "inference request batch-size must be > 0 for 'digits'",
        ),
        ([image(9, 4)], "inference request batch-size must be <= 8 for 'digits'"),
        ([image(2, 4), mask(3, 2)], "input batch size does not match other inputs for 'digits'"),
        (
            [Tensor("image", "FP32", (2, 4), b"short")],
            "input byte size mismatch for input 'image'. Expected 32, got 5",
        ),
    ],
)
def test_wrong_inputs_are_named(tensors, message):
    """The first input that is wrong is INVALID, in Triton's words."""
    with pytest.raises(GatewayError) as caught:
        SIGNATURE.accept(tensors)

    assert (caught.value.fault, caught.value.message) == (Fault.INVALID, message)


def test_without_a_batch_a_request_is_one_row():
    """A free first dimension that is no batch has no limit, and may be empty."""
    spec = ModelSpec("m", ("1",), "p", (TensorSpec("image", "FP32", (-1, 4)),), SPEC.outputs)
    signature = Signature(spec, max_rows=None)

    assert signature.accept([image(100, 4)])[1] == 1
    assert signature.accept([image(0, 4)])[1] == 1


def test_outputs_are_selected_in_the_order_of_the_request():
    """None named means all, in the order of the model."""
    assert SIGNATURE.select(()) == (("label", 0), ("probabilities", 1))
    assert SIGNATURE.select(("probabilities", "label")) == (("probabilities", 1), ("label", 0))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("x",), "unexpected inference output 'x' for model 'digits'"),
        (("label", "label"), "output 'label' already requested for model 'digits'"),
    ],
)
def test_wrong_outputs_are_named(names, message):
    """An output that is unknown or asked for twice is INVALID."""
    with pytest.raises(GatewayError) as caught:
        SIGNATURE.select(names)

    assert (caught.value.fault, caught.value.message) == (Fault.INVALID, message)


@given(
    st.text(max_size=200),
    st.sampled_from(["FP32", "BOOL", "BYTES", "\n"]),
    st.lists(st.integers(), max_size=12),
)
def test_no_input_escapes_as_another_error(name, datatype, shape):
    """A hostile tensor is INVALID and nothing else, with a message that fits a line."""
    with pytest.raises(GatewayError) as caught:
        SIGNATURE.accept([Tensor(name, datatype, tuple(shape), b"1234")])

    assert caught.value.fault is Fault.INVALID
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400
