"""Tensors."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import (
    DATATYPES,
    ITEM_SIZES,
    MAX_BYTES_ELEMENTS,
    MAX_RANK,
    Tensor,
    check_size,
    split_bytes,
)


def refusal(*fields) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        check_size(Tensor(*fields))
    return caught.value


@given(
    hnp.arrays(
        st.sampled_from(list(DATATYPES.values())), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)
    )
)
def test_arrays_survive_the_round_trip(array: np.ndarray) -> None:
    """Every datatype and shape, empty ones too, comes back bit by bit."""
    tensor = Tensor.from_numpy("x", array)

    assert tensor.numpy().dtype == array.dtype
    assert tensor.numpy().shape == array.shape
    assert tensor.numpy().tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_bytes_survive_the_round_trip(elements: list[bytes]) -> None:
    """Elements of any length, with any bytes in them."""
    tensor = Tensor.from_numpy("x", np.array([*elements, None], dtype=object)[:-1])

    assert tensor.datatype == "BYTES"
    assert list(tensor.numpy()) == elements
    assert split_bytes(tensor.data) == elements


def test_strings_become_utf8() -> None:
    """numpy's strings and Python's are text."""
    for array in (np.array(["ä"]), np.array(["ä"], dtype=object)):
        assert Tensor.from_numpy("x", array).data == struct.pack("<I", 2) + "ä".encode()


def test_big_endian_array_is_turned() -> None:
    """What goes over the wire is little-endian, whatever the array was."""
    assert Tensor.from_numpy("x", np.array([1], dtype=">i4")).data == b"\1\0\0\0"


def test_array_without_a_datatype_is_our_own_mistake() -> None:
    """A model that gives complex numbers cannot be answered."""
    with pytest.raises(GatewayError) as caught:
        Tensor.from_numpy("x", np.array([1j]))

    assert caught.value.fault is Fault.INTERNAL


def test_view_is_made_once_and_cannot_be_written_to() -> None:
    """One buffer may be shared by a cache entry and many answers."""
    tensor = Tensor("x", "FP32", (2,), b"\0" * 8)

    assert tensor.numpy() is tensor.numpy()
    with pytest.raises(ValueError, match="read-only"):
        tensor.numpy()[0] = 1
    with pytest.raises(AttributeError):
        tensor.name = "y"


def test_equality_is_of_the_value() -> None:
    """A view made in between, or another kind of buffer, makes no difference."""
    one, other = Tensor("x", "UINT8", (2,), b"ab"), Tensor("x", "UINT8", (2,), memoryview(b"ab"))
    one.numpy()

    assert one == other
    assert hash(one) == hash(other)
    assert one != Tensor("x", "INT8", (2,), b"ab")
    assert one != "x"
    assert repr(one) == "<Tensor x UINT8 [2], 2 bytes>"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (("x", "FP32", (2,), b"\0" * 7), "input byte size mismatch for input 'x'. Expected 8, got 7"),
        (("x", "FP32", (1 << 40, 1 << 40), b""), "causes total element count to exceed maximum size of"),
        (("x", "FP32", (4, (1 << 60) + 2), b""), "byte size overflow for input 'x'"),
        (("x", "FP33", (1,), b"\0"), "unknown datatype"),
        (("x", "FP32", (-1,), b""), "negative dimension"),
        (("x", "FP32", (1,) * (MAX_RANK + 1), b"\0" * 4), "more than 64 dimensions"),
        (("x", "BYTES", (2,), struct.pack("<I", 0)), "does not hold the 2 BYTES elements"),
        (("x", "BYTES", (1,), struct.pack("<II", 0, 0)), "does not hold the 1 BYTES elements"),
        (("x", "BYTES", (1,), struct.pack("<I", 9) + b"short"), "ends inside an element"),
        (("x", "BYTES", (1,), struct.pack("<I", 0) + b"\0"), "ends inside an element's length"),
        (("x", "BYTES", (1 << 60,), b""), "more than"),
    ],
)
def test_bytes_that_do_not_fill_the_shape_are_refused(fields, says: str) -> None:
    """Before anything is allocated for them."""
    assert says in refusal(*fields).message


def test_flood_of_empty_strings_is_too_large() -> None:
    """Walking over millions of lengths would hold up the event loop."""
    count = MAX_BYTES_ELEMENTS + 1

    assert refusal("x", "BYTES", (count,), b"\0" * 4 * count).fault is Fault.TOO_LARGE


def test_item_sizes_are_numpys() -> None:
    """One table, so that the two cannot disagree."""
    assert ITEM_SIZES["FP64"] == 8
    assert set(ITEM_SIZES) == {*DATATYPES, "BF16"}
    assert ITEM_SIZES["BF16"] == 2


def test_bf16_is_only_carried() -> None:
    """Its bytes are counted and passed on; numpy has no dtype to see them by."""
    tensor = Tensor("x", "BF16", (2,), b"\0" * 4)

    check_size(tensor)
    with pytest.raises(GatewayError) as refused:
        tensor.numpy()

    assert refused.value.fault is Fault.UNSUPPORTED
