"""Outputs as their highest elements."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.core.classes import classified
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from gateway.wire.oip.classification import NO_RULES, ClassRules, classify, wanted_parameters


def highest(array, count, rules=NO_RULES):
    response = Response("m", "1", (Tensor.from_numpy("y", np.array(array)),), Provenance("edge"))
    (tensor,) = classify(response, {"y": count}, rules).outputs
    return tensor.shape, tensor.numpy().ravel().tolist()


def test_what_an_endpoint_has_classified_stays():
    """Without its mark; texts without one are an output that has no classes."""
    made = Tensor.from_numpy("y", np.array([[b"1.0:2:dog"]], object))
    response = Response("m", "1", (classified(made, 1),), Provenance("central"))

    assert classify(response, {"y": 1}).outputs == (made,)
    with pytest.raises(GatewayError) as caught:
        classify(Response("m", "1", (made,), Provenance("central")), {"y": 1})
    assert caught.value.fault is Fault.INVALID


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


@pytest.mark.parametrize(
    ("array", "batches", "shape", "texts"),
    [
        (
            np.float32([[1, 4], [3, 2]]),
            True,
            (2, 2),
            [b"4.000000:1", b"1.000000:0", b"3.000000:0", b"2.000000:1"],
        ),
        (np.float32([[1, 4], [3, 2]]), False, (2,), [b"4.000000:1", b"3.000000:2"]),
        (np.int32([7, 9]), True, (2, 1), [b"7:0", b"9:0"]),
        (np.int32([7, 9]), False, (2,), [b"9:1", b"7:0"]),
        (np.int32(7), True, (1,), [b"7:0"]),
        (np.int64([[[1, 2], [3, 4]]]), True, (1, 2), [b"4:3", b"3:2"]),
        (np.zeros((2, 0), np.int8), True, (2, 0), []),
        (np.zeros((0, 3), np.int8), True, (0, 0), []),
        (np.zeros((0, 3), np.int8), False, (0,), []),
    ],
)
def test_rows_are_those_of_a_batch(array, batches, shape, texts):
    """Of a model without a batch all elements are one list, as Triton has it."""
    assert highest(array, 2, ClassRules(batches)) == (shape, texts)


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (np.uint64([1, (1 << 64) - 1, 1 << 63]), [b"18446744073709551615:1", b"9223372036854775808:2"]),
        (np.int64([0, -(1 << 63), (1 << 63) - 1]), [b"9223372036854775807:2", b"0:0"]),
        (np.float64([1e300, 0.1, -np.inf]), [b"1" + b"0" * 1 + b"", b"0.100000:1"]),
        (np.float32([0.1, np.inf, 0.1]), [b"inf:1", b"0.100000:0"]),
    ],
)
def test_no_value_is_too_large(array, texts):
    """Nor is one written as another."""
    shape, written = highest(array, 2)
    assert shape == (2,)
    if array.dtype == np.float64:
        texts = [b"%f:0" % 1e300, texts[1]]
    assert written == texts


def test_labels_follow_the_index():
    """Where an output has them, and as many as there are."""
    rules = ClassRules(labels={"y": ("cat", "", "dog"), "z": ("none",)})

    _, texts = highest(np.int8([3, 2, 4, 1]), 4, rules)

    assert texts == [b"4:2:dog", b"3:0:cat", b"2:1", b"1:3"]


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL", "BF16"])
def test_what_has_no_numbers_is_refused_in_tritons_words(datatype):
    """Clients look for them."""
    data = {"BYTES": b"\1\0\0\0a", "BOOL": b"\1", "BF16": b"\0\0"}[datatype]
    response = Response("m", "1", (Tensor("y", datatype, (1,), data),), Provenance("edge"))

    with pytest.raises(GatewayError) as caught:
        classify(response, {"y": 1})

    words = f"class result not available for output due to unsupported type '{datatype}'"
    assert (caught.value.fault, caught.value.message) == (Fault.INVALID, words)


def test_classes_are_bounded():
    """Each becomes a text; of a large output not all can be asked for."""
    with pytest.raises(GatewayError, match="more than 65536 classes"):
        highest(np.zeros((2, 40_000), np.int8), (1 << 32) - 1)


def test_others_stay():
    """An output that is not named stays as it is; text cannot be classified."""
    text = Tensor.from_numpy("t", np.array([b"a"], object))
    response = Response("m", "1", (text,), Provenance("edge"))

    assert classify(response, {"y": 1}).outputs == (text,)
    with pytest.raises(GatewayError):
        classify(response, {"t": 1})


@pytest.mark.parametrize("value", [-1, True, "3", 1.5, 1 << 32])
def test_bad_counts(value):
    """A count is a whole number within reason."""
    with pytest.raises(GatewayError, match="must be a whole number of 32 bits"):
        wanted_parameters("y", {"classification": value})
    assert wanted_parameters("y", {"classification": (1 << 32) - 1, "a": 1}) == ((1 << 32) - 1, {"a": 1})


@pytest.mark.parametrize("sent", [{}, {"classification": 0}, {"classification": None}])
def test_no_classes(sent):
    """0, null and absent are the same, and nothing of it goes further."""
    assert wanted_parameters("y", sent) == (0, {})
