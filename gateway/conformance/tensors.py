"""Tensors as the suite makes and reads them: JSON lists, raw little-endian bytes and typed contents."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.conformance.verdicts import Violation, require

Array = npt.NDArray[Any]

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype("O"),
}
"""The protocol's datatypes and how numpy holds them: BYTES are ``bytes``, BF16 its 16 bits as a number."""

RAW_ONLY: Final = frozenset({"FP16", "BF16"})
"""Datatypes that neither JSON nor InferTensorContents has a word for."""

CONTENTS: Final[dict[str, str]] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Which field of InferTensorContents holds a datatype."""

_MOST_ELEMENTS: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class SuiteTensor:
    """A tensor; ``shape`` is what is declared and may contradict ``values``, which are flat."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Array
    parameters: dict[str, Any] = field(default_factory=dict)

    def same_as(self, other: SuiteTensor) -> str:
        """Return how ``other`` differs, or nothing: floats may differ as far as another batch's do."""
        if (self.datatype, self.shape) != (other.datatype, other.shape):
            return (
                f"'{self.name}' is {other.datatype} {list(other.shape)}, "
                f"not {self.datatype} {list(self.shape)}"
            )
        if self.values.dtype.kind == "f":
            same = np.allclose(self.values, other.values, rtol=1e-3, atol=1e-5, equal_nan=True)
        else:
            same = bool(np.array_equal(self.values, other.values))
        return "" if same else f"the values of '{self.name}' differ"

    def take(self, order: Sequence[int]) -> SuiteTensor:
        """Return the rows in another order."""
        return replace(self, values=self.values.reshape(self.shape[0], -1)[list(order)].ravel())


def to_json(tensor: SuiteTensor) -> list[Any]:
    """Return the elements as a flat list that JSON can hold."""
    if tensor.values.dtype.kind == "O":
        return [element.decode() if isinstance(element, bytes) else str(element) for element in tensor.values]
    listed: list[Any] = tensor.values.tolist()
    return listed


def nest(flat: list[Any], shape: tuple[int, ...]) -> list[Any]:
    """Return ``flat`` as lists of lists, as ``shape`` has them."""
    elements = np.empty(len(flat), object)
    elements[:] = flat
    nested: list[Any] = elements.reshape(shape or (1,)).tolist()
    return nested


def to_raw(tensor: SuiteTensor) -> bytes:
    """Return the elements as raw bytes."""
    if tensor.values.dtype.kind == "O":
        return b"".join(struct.pack("<I", len(element)) + element for element in tensor.values)
    return tensor.values.tobytes()


def read_json(name: str, datatype: Any, shape: Any, data: Any) -> SuiteTensor:
    """Read a tensor of a JSON answer.

    Raises:
        Violation: when its data are not what its datatype and shape say.
    """
    dims = read_shape(name, shape)
    dtype = _dtype(name, datatype)
    require(isinstance(data, list), f"'{name}' has no list 'data'")
    flat = _flatten(data)
    count = math.prod(dims)
    require(len(flat) == count, f"'{name}' has {len(flat)} elements; its shape {list(dims)} needs {count}")
    if datatype == "BYTES":
        require(all(isinstance(item, str) for item in flat), f"'{name}' is BYTES and holds no strings")
        return SuiteTensor(name, datatype, dims, _objects([item.encode() for item in flat]))
    try:
        # 64-bit integers must not become floats in between.
        values = np.array(flat).astype(dtype) if dtype.kind in "f?" else np.array(flat, dtype)
    except (ValueError, TypeError, OverflowError):
        raise Violation(f"'{name}' holds elements that are no {datatype}") from None
    return SuiteTensor(name, datatype, dims, values)


def read_raw(name: str, datatype: Any, shape: Any, raw: bytes) -> SuiteTensor:
    """Read a tensor of raw bytes.

    Raises:
        Violation: when the bytes are not what its datatype and shape say.
    """
    dims = read_shape(name, shape)
    dtype = _dtype(name, datatype)
    count = math.prod(dims)
    if datatype == "BYTES":
        elements = _split(name, raw)
        require(len(elements) == count, f"'{name}' has {len(elements)} elements; its shape needs {count}")
        return SuiteTensor(name, datatype, dims, _objects(elements))
    needed = count * dtype.itemsize
    require(len(raw) == needed, f"'{name}' has {len(raw)} bytes; its datatype and shape need {needed}")
    return SuiteTensor(name, datatype, dims, np.frombuffer(raw, dtype))


def read_contents(name: str, datatype: str, shape: Any, contents: Any) -> SuiteTensor:
    """Read a tensor of typed contents.

    Raises:
        Violation: when they are not what its datatype and shape say.
    """
    dims = read_shape(name, list(shape))
    dtype = _dtype(name, datatype)
    field_name = CONTENTS.get(datatype)
    if field_name is None:
        raise Violation(f"'{name}' is {datatype}, which has no typed contents and must travel raw")
    flat = list(getattr(contents, field_name))
    count = math.prod(dims)
    require(len(flat) == count, f"'{name}' has {len(flat)} elements in {field_name}; its shape needs {count}")
    if datatype == "BYTES":
        return SuiteTensor(name, datatype, dims, _objects(flat))
    try:
        return SuiteTensor(name, datatype, dims, np.array(flat, dtype))
    except (ValueError, TypeError, OverflowError):
        raise Violation(f"'{name}' holds elements that are no {datatype}") from None


def read_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Read a shape of whole numbers that are not negative.

    Raises:
        Violation: when it is none, or larger than the suite would ever ask for.
    """
    whole = isinstance(shape, list) and all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in shape
    )
    require(whole and len(shape) <= 64, f"'{name}' has no 'shape' of whole numbers")
    dims = tuple(shape)
    require(math.prod(dims) <= _MOST_ELEMENTS, f"'{name}' has the shape {list(dims)}")
    return dims


def _dtype(name: str, datatype: Any) -> np.dtype[Any]:
    known = isinstance(datatype, str) and datatype in DTYPES
    require(known, f"'{name}' has the datatype {str(datatype)[:20]!r}, which the protocol does not know")
    return DTYPES[datatype]


def _flatten(data: list[Any]) -> list[Any]:
    while data and all(isinstance(item, list) for item in data):
        data = [inner for item in data for inner in item]
    return data


def _objects(elements: list[bytes]) -> Array:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array


def _split(name: str, raw: bytes) -> list[bytes]:
    elements, position = [], 0
    while position < len(raw):
        require(len(raw) - position >= 4, f"'{name}' ends inside an element's length")
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4
        require(length <= len(raw) - position, f"'{name}' ends inside an element")
        elements.append(raw[position : position + length])
        position += length
    return elements
