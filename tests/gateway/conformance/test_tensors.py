"""Tensors of the conformance suite, in each of the three forms that they travel in."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.conformance import messages
from gateway.conformance.tensors import (
    CONTENTS,
    DTYPES,
    SuiteTensor,
    nest,
    read_contents,
    read_json,
    read_raw,
    to_json,
    to_raw,
)
from gateway.conformance.verdicts import Violation

BITS = ("BOOL", "BYTES")


@st.composite
def tensors(draw: st.DrawFn, datatypes: tuple[str, ...] = tuple(DTYPES)) -> SuiteTensor:
    """Any tensor of a datatype, its elements any bits but NaN's."""
    datatype = draw(st.sampled_from(datatypes))
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    count = int(np.prod(shape, dtype=int))
    dtype = DTYPES[datatype]
    if datatype == "BYTES":
        values = np.empty(count, object)
        values[:] = draw(st.lists(st.text(max_size=5).map(str.encode), min_size=count, max_size=count))
    elif datatype == "BOOL":
        values = np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype)
    else:
        raw = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
        values = np.frombuffer(raw, dtype)
        values = np.nan_to_num(values, nan=1.0) if dtype.kind == "f" else values
    return SuiteTensor("t", datatype, shape, values)


def same(one: SuiteTensor, other: SuiteTensor) -> bool:
    return (one.datatype, one.shape) == (other.datatype, other.shape) and bool(
        np.array_equal(one.values, other.values)
    )


@given(tensors())
def test_raw_bytes_hold_every_tensor(tensor: SuiteTensor) -> None:
    assert same(tensor, read_raw("t", tensor.datatype, list(tensor.shape), to_raw(tensor)))


@given(tensors(tuple(CONTENTS)))
def test_typed_contents_hold_every_tensor_that_has_a_field(tensor: SuiteTensor) -> None:
    contents = messages.InferTensorContents()
    getattr(contents, CONTENTS[tensor.datatype]).extend(tensor.values.tolist())

    assert same(tensor, read_contents("t", tensor.datatype, tensor.shape, contents))


@given(tensors(tuple(CONTENTS)), st.booleans())
def test_json_holds_every_tensor_flat_and_nested(tensor: SuiteTensor, is_nested: bool) -> None:
    if tensor.values.dtype.kind == "f" and not np.isfinite(tensor.values).all():
        return
    flat = to_json(tensor)
    data = nest(flat, tensor.shape) if is_nested else flat

    read = read_json("t", tensor.datatype, list(tensor.shape), json.loads(json.dumps(data)))

    assert same(tensor, read)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)


@given(st.sampled_from([*DTYPES, "FP31"]) | JUNK, st.lists(st.integers(-1, 3), max_size=3) | JUNK, JUNK)
def test_json_that_is_no_tensor_is_a_finding_and_never_an_accident(
    datatype: Any, shape: Any, data: Any
) -> None:
    try:
        tensor = read_json("t", datatype, shape, data)
    except Violation:
        return
    assert tensor.values.size == int(np.prod(tensor.shape, dtype=int))


@given(st.sampled_from(list(DTYPES)), st.lists(st.integers(-1, 3), max_size=3), st.binary(max_size=40))
def test_bytes_that_are_no_tensor_are_a_finding(datatype: str, shape: list[int], raw: bytes) -> None:
    try:
        tensor = read_raw("t", datatype, shape, raw)
    except Violation:
        return
    assert tensor.values.size == int(np.prod(shape, dtype=int))


@pytest.mark.parametrize(
    ("datatype", "data", "reason"),
    [
        ("INT8", [300], "no INT8"),
        ("BYTES", [1], "no strings"),
        ("FP32", ["x"], "no FP32"),
        ("FP32", [1, 2], "needs 1"),
        ("FP31", [1], "does not know"),
    ],
)
def test_reasons_name_the_tensor_and_what_is_wrong(datatype: str, data: list[Any], reason: str) -> None:
    with pytest.raises(Violation, match=f"'t' .*{reason}"):
        read_json("t", datatype, [1], data)


def test_large_integers_do_not_pass_through_floats() -> None:
    read = read_json("t", "INT64", [2], [2**63 - 1, -(2**63)])

    assert read.values.tolist() == [2**63 - 1, -(2**63)]


def test_shape_that_would_take_all_memory_is_a_finding() -> None:
    with pytest.raises(Violation, match="has the shape"):
        read_raw("t", "INT8", [1 << 20, 1 << 20], b"")


def test_floats_may_differ_a_little_and_nothing_else_may() -> None:
    tensor = SuiteTensor("t", "FP32", (2,), np.array([1.0, 2.0], np.float32))

    assert not tensor.same_as(SuiteTensor("t", "FP32", (2,), np.array([1.0001, 2.0], np.float32)))
    assert tensor.same_as(SuiteTensor("t", "FP32", (2,), np.array([1.1, 2.0], np.float32)))
    assert "not FP32 [2]" in tensor.same_as(SuiteTensor("t", "FP32", (2, 1), tensor.values))


def test_rows_in_another_order() -> None:
    tensor = SuiteTensor("t", "INT8", (3, 2), np.arange(6, dtype=np.int8))

    assert tensor.take((1, 0, 2)).values.tolist() == [2, 3, 0, 1, 4, 5]
