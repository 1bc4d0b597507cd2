"""Tensor elements as JSON: types, ranges, nesting, and bounds on what a few bytes may unfold to."""

from __future__ import annotations

import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Tensor, join_bytes
from gateway.wire.oip.validation import MAX_DECODED
from gateway.wire.oip.values import decode_values, encode_values


def decode(datatype, shape, raw):
    return decode_values("x", datatype, shape, raw)


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "array"),
    [
        ("FP32", (2,), b"[1, 2.5]", np.array([1, 2.5], "<f4")),
        ("FP64", (2, 1), b"[[1],[1e308]]", np.array([1, 1e308])),
        ("INT8", (2,), b"[-128,127]", np.array([-128, 127], "i1")),
        ("UINT64", (1,), b"[18446744073709551615]", np.array([2**64 - 1], "<u8")),
        ("BOOL", (3,), b"[true,false,true]", np.array([1, 0, 1], "?")),
        ("INT32", (), b"[5]", np.array(5, "<i4")),
        ("INT32", (2, 0), b"[]", np.zeros((2, 0), "<i4")),
        ("INT32", (2, 0), b"[[],[]]", np.zeros((2, 0), "<i4")),
        ("FP32", (2, 0, 3), b"[ [] ,\n[ ] ]", np.zeros((2, 0, 3), "<f4")),
        ("BYTES", (2, 1, 0), b"[[[]],[[]]]", np.zeros((2, 1, 0), object)),
        ("BOOL", (0, 4), b"[]", np.zeros((0, 4), "?")),
        ("INT8", (1,) * 62 + (0,), b"[" * 63 + b"]" * 63, np.zeros(0, "i1")),
        ("INT32", (2, 2), b" [ [1 ,2],\n[3,4]] ", np.array([1, 2, 3, 4], "<i4")),
    ],
)
def test_values_become_elements(datatype, shape, raw, array):
    """Flat or nested, JSON numbers become little-endian elements."""
    assert decode(datatype, shape, raw) == array.tobytes()


def test_strings_become_bytes():
    """BYTES are UTF-8 strings, commas, quotes and brackets in them included."""
    assert decode("BYTES", (1, 2), '[["é,[", "\\""]]'.encode()) == join_bytes(np.array(["é,[", '"']))
    assert decode("BYTES", (0,), b"[]") == b""


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "message"),
    [
        ("FP16", (1,), b"[1]", "FP16 data via JSON is not supported"),
        ("FP8", (1,), b"[1]", "unknown datatype"),
        ("INT8", (1,), b"[128]", "out of range for INT8"),
        ("UINT8", (1,), b"[-1]", "out of range for UINT8"),
        ("INT64", (1,), b"[9223372036854775808]", "out of range for INT64"),
        ("UINT64", (1,), b"[18446744073709551616]", "out of range for UINT64"),
        ("FP32", (1,), b"[1e39]", "out of range for FP32"),
        ("FP64", (1,), b"[1e999]", "list of numbers"),
        ("FP32", (1,), b"[NaN]", "list of numbers"),
        ("FP32", (1,), b"[null]", "list of numbers"),
        ("FP32", (1,), b"[true]", "list of numbers"),
        ("FP32", (1,), b'["1"]', "list of numbers"),
        ("INT32", (1,), b"[1.5]", "list of integers"),
        ("INT32", (1,), b"[1.0]", "list of integers"),
        ("INT32", (1,), b"[true]", "list of integers"),
        ("BOOL", (1,), b"[1]", "list of booleans"),
        ("BYTES", (1,), b"[1]", "list of strings"),
        ("BYTES", (1,), b'["\xff"]', "list of strings"),
        ("BYTES", (2,), b'["a,b"]', "needs 2 elements, got 1"),
        ("INT32", (3,), b"[1,2]", "needs 3 elements, got 2"),
        ("INT32", (0,), b"[1]", "needs 0 elements, got 1"),
        ("INT32", (2, 2), b"[[1,2,3],[4]]", "not nested as its shape"),
        ("INT32", (1, 4), b"[[1,2],[3,4]]", "not nested as its shape"),
        ("FP32", (16, (1 << 60) + 2), b"[1.0]", "causes total element count to exceed maximum size of"),
        ("FP32", (4, (1 << 60) + 2), b"[1.0]", "byte size overflow for input"),
        (
            "INT64",
            (1, 1),
            b"[" * 120 + b"1" + b"]" * 120,
            "nesting depth exceeds maximum allowed limit (100)",
        ),
        ("INT64", (1, 1), b"[" * 50 + b"1" + b"]" * 50, "one flat list, or nested"),
        ("FP32", (2, 0, 3), b"[[],[],[]]", "one flat list, or nested"),
        ("FP32", (2, 0, 3), b"[[[]],[[]]]", "not nested as its shape"),
        (
            "BYTES",
            (1,),
            b"[1]",
            "must be a list of strings for BYTES: attempt to access JSON non-string as string",
        ),
        ("BOOL", (1,), b'["true"]', "attempt to access JSON non-boolean as boolean"),
        ("FP32", (2, 0), b"[[],[[]]]", "must be a list of numbers"),
        ("FP32", (2, 0), b"[[],[]", "must be a list of numbers"),
        ("FP32", (2, 0), b"[[]]", "not nested as its shape"),
        ("FP32", (0, 2), b"[[],[]]", "not nested as its shape"),
        ("FP32", (2, 0), b"[1]", "its shape needs 0 elements, got 1"),
        ("FP32", (1 << 40, 0), b"[[],[]]", "not nested as its shape"),
        ("BYTES", (2, 0, 3), b'[[],[""]]', "one flat list, or nested"),
        ("INT32", (2, 2, 1), b"[[1,2],[3,4]]", "one flat list, or nested"),
        ("INT32", (1,), b"5", "one flat list, or nested"),
        ("INT32", (), b"5", "one flat list, or nested"),
        ("INT32", (1, 1), b"null", "one flat list, or nested"),
        ("INT32", (1, 1), b"[[1]", "list of integers"),
        ("INT32", (2, 2), b"[[1,2],3,4]", "list of integers"),
    ],
)
def test_other_values_are_refused(datatype, shape, raw, message):
    """A wrong type, range, count or nesting is named."""
    with pytest.raises(GatewayError) as caught:
        decode(datatype, shape, raw)

    assert caught.value.fault is Fault.INVALID
    assert message in caught.value.message


@given(hnp.arrays(np.int16, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0)))
def test_nested_equals_flat(array):
    """A list nested as the shape means the same as the flat one."""
    nested, flat = (msgspec.json.encode(value) for value in (array.tolist(), array.ravel().tolist()))

    assert decode("INT16", array.shape, nested) == decode("INT16", array.shape, flat) == array.tobytes()


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", (4,), b"[" + b"0," * 3_000_000 + b"0]"),
        ("FP32", (MAX_DECODED + 1,), b"[0]"),
        ("FP32", (0, 0), b"[" + b"[]," * 5_000_000 + b"[]]"),
        ("BYTES", (1,), b"[" + b'"",' * 5_000_000 + b'""]'),
    ],
    ids=["too many", "claims too many", "empty lists", "empty strings"],
)
def test_small_bytes_do_not_become_large_objects(datatype, shape, raw):
    """Too many elements are refused by counting commas, before one of them is made."""
    tracemalloc.start()
    try:
        with pytest.raises(GatewayError) as caught:
            decode(datatype, shape, raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.fault is Fault.INVALID
    assert peak < 2 * len(raw) + 100_000


@given(st.binary(max_size=60), st.sampled_from(["FP32", "INT8", "BOOL", "BYTES"]), st.integers(0, 3))
def test_garbage_is_refused(raw, datatype, count):
    """No bytes raise anything but GatewayError."""
    try:
        decode(datatype, (count,), raw)
    except GatewayError as error:
        assert error.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.array([1], np.float16), "FP16"),
        (np.array([1, np.nan], np.float32), "NaN or infinity"),
        (np.array([np.inf]), "NaN or infinity"),
        (np.array([b"\xff"], object), "bytes that are no UTF-8 text"),
    ],
)
def test_what_json_cannot_carry_is_refused(array, what):
    """The client is told to ask for binary data; JSON with NaN or null in it would be a lie."""
    with pytest.raises(GatewayError, match=what) as caught:
        encode_values(Tensor.from_numpy("y", array))

    assert caught.value.fault is Fault.INVALID
    assert "binary data" in caught.value.message
