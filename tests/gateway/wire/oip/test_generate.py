"""Plain JSON fields as tensors."""

from __future__ import annotations

import json
import math

import msgspec
import numpy as np
import pytest

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip.generate import decode_generate, encode_generate
from gateway.wire.oip.json_bounds import MAX_JSON_BYTES

MODEL = ModelSpec("m", ("1",), "", (), ())


def decode(spec, fields):
    model = ModelSpec("m", ("1",), "", (TensorSpec("x", *spec),), ())
    return decode_generate(model, msgspec.json.encode(fields))


@pytest.mark.parametrize(
    ("spec", "value", "shape"),
    [
        (("FP32", (-1, 2)), [1, 2], (1, 2)),
        (("FP32", (-1, 2)), [1, 2, 3, 4], (2, 2)),
        (("INT64", (-1, -1)), 5, (1, 1)),
        (("INT64", (-1, -1)), [5, 6], (1, 2)),
        (("BOOL", (1,)), True, (1,)),
    ],
)
def test_shapes(spec, value, shape):
    """Values lie along the last free dimension."""
    assert decode(spec, {"x": value}).inputs[0].shape == shape


def test_parameters():
    """Other fields are parameters, under the same rules as elsewhere."""
    inference = decode(("FP32", (1,)), {"x": 1, "id": "r", "timeout": 1_000_000, "k": 3})

    assert (inference.id, inference.timeout_s, dict(inference.parameters)) == ("r", 1.0, {"k": 3})
    with pytest.raises(GatewayError):
        decode(("FP32", (1,)), {"triton_x": 1})


def test_limits():
    """JSON has its limit here, too."""
    with pytest.raises(GatewayError) as refused:
        decode_generate(ModelSpec("m", (), "", (), ()), b" " * (MAX_JSON_BYTES + 1))
    assert refused.value.fault is Fault.TOO_LARGE


def test_answers():
    """One element stands alone, several are a list."""
    outputs = (Tensor("a", "INT8", (1, 1), b"\5"), Tensor("b", "INT8", (2,), b"\1\2"))

    fields = encode_generate(Response("m", "2", outputs, Provenance("edge")), "r")

    assert msgspec.json.decode(fields) == {
        "model_name": "m",
        "model_version": "2",
        "id": "r",
        "a": 5,
        "b": [1, 2],
    }


@pytest.mark.parametrize("raw", ["{}", "[1]"])
def test_a_parameter_of_another_type_is_named(raw):
    """In words that clients look for."""
    with pytest.raises(GatewayError, match="parameter 'PARAMS' has invalid type") as caught:
        decode_generate(MODEL, b'{"PARAMS":%b}' % raw.encode())

    assert caught.value.fault is Fault.INVALID


def test_null_is_the_same_as_absent():
    """For the id, for parameters, and within them."""
    assert decode_generate(MODEL, b'{"id":null,"parameters":null,"x":null}') == decode_generate(MODEL, b"{}")
    assert decode_generate(MODEL, b'{"parameters":{"x":null}}') == decode_generate(MODEL, b"{}")


@pytest.mark.parametrize("values", [[math.nan], [1.0, math.inf]])
def test_nan_and_infinity_by_name(values):
    """As Triton has them, or not at all."""
    response = Response("m", "1", (Tensor.from_numpy("y", np.array(values)),), Provenance("edge"))

    written = json.loads(encode_generate(response, ""))["y"]

    assert str(written) == str(values if len(values) > 1 else values[0])
    with pytest.raises(GatewayError, match="NaN or infinity"):
        encode_generate(response, "", "refuse")
