"""Tensor elements as JSON values ⇄ little-endian bytes.

JSON is the slow way and the dangerous one: two bytes of ``0,`` become a Python object of 32. So the
elements are counted by their commas before one of them is made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np

from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import HERE_ELEMENTS
from gateway.core.tensor import (
    BF16,
    BYTES,
    DATATYPES,
    Buffer,
    Tensor,
    element_count,
    join_bytes,
    too_large_shape,
)
from gateway.wire.oip.json_bounds import count_texts
from gateway.wire.oip.json_nan import NAMED, JsonNan, Named, as_literals
from gateway.wire.oip.validation import MAX_DECODED, most_decoded

MAX_WRITTEN_BYTES: Final = 16 << 20
"""Of one tensor that is written as JSON, which takes several times as many."""

_MAX_ELEMENTS: Final = (1 << 63) // 8
_MAX_DEPTH: Final = 100
_BINARY_ONLY: Final = frozenset({"FP16", BF16})
_WORDS: Final = {
    str: ": attempt to access JSON non-string as string",
    bool: ": attempt to access JSON non-boolean as boolean",
}
"""What clients of Triton look for."""

_BLANKS: Final = b" \t\r\n"
_OPENING: Final = re.compile(rb"[\[ \t\r\n]*")
_FLOAT_OR_NAME: Final[Any] = float | Named
_ELEMENTS: Final[dict[str, type]] = {"b": bool, "i": int, "u": int, "f": float}


def decode_values(name: str, datatype: str, shape: tuple[int, ...], raw: Buffer) -> bytes:
    """Read ``data`` of input ``name``: a flat list, or lists nested as ``shape`` says.

    Those of a shape without elements are nested as far as its first 0, as numpy's ``tolist`` has them.

    Raises:
        GatewayError: INVALID for elements of another type, out of range, too many or too few, and for
            FP16, which JSON does not carry (as in Triton).
    """
    text = bytes(raw)
    dtype = _dtype_of(name, datatype)
    if 0 in shape and _is_empty(text, shape):
        return b""
    _check_count(name, text, element_count(shape), is_text=dtype is None)

    depth = _depth(text)
    if depth > _MAX_DEPTH:
        raise GatewayError(
            Fault.INVALID,
            f"data of input '{name}': JSON nesting depth exceeds maximum allowed limit ({_MAX_DEPTH})",
        )
    if depth == 0 or depth not in {1, len(shape)}:
        raise GatewayError(
            Fault.INVALID, f"data of input '{name}' must be one flat list, or nested as its shape"
        )
    element = str if dtype is None else _ELEMENTS[dtype.kind]
    has_names = element is float and b'"' in text
    try:
        rows = _decoder(_FLOAT_OR_NAME if has_names else element, depth).decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise GatewayError(
            Fault.INVALID,
            f"data of input '{name}' must be a list of {_plural(element)} for {datatype}"
            f"{_WORDS.get(element, '')}",
        ) from None

    flat = _flatten(name, rows, shape) if depth > 1 else rows
    if len(flat) != element_count(shape):
        raise _wrong_count(name, element_count(shape), len(flat))
    return _pack(name, datatype, dtype, [NAMED.get(item, item) for item in flat] if has_names else flat)


def encode_values(tensor: Tensor, nan: JsonNan = "refuse") -> list[Any] | msgspec.Raw:
    """Return the elements as one flat list that JSON can carry; NaN and infinity as ``nan`` says.

    Raises:
        GatewayError: INVALID for FP16, for NaN and infinity where they are refused, and for BYTES that are
            not UTF-8: JSON has no form for them, and the client can have them as binary data.
    """
    if tensor.datatype in _BINARY_ONLY:
        raise _no_json(tensor.name, tensor.datatype)
    if element_count(tensor.shape) > MAX_DECODED or len(tensor.data) > MAX_WRITTEN_BYTES:
        raise _no_json(tensor.name, f"more than {MAX_DECODED} elements, or {MAX_WRITTEN_BYTES} bytes")
    array = tensor.numpy().ravel()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        if nan == "refuse":
            raise _no_json(tensor.name, "NaN or infinity")
        return as_literals(array.tolist())
    if tensor.datatype == BYTES:
        try:
            return [item.decode() for item in array]
        except UnicodeDecodeError:
            raise _no_json(tensor.name, "bytes that are no UTF-8 text") from None
    values: list[Any] = array.tolist()
    return values


def is_long(tensors: Sequence[Tensor]) -> bool:
    """Whether writing ``tensors`` as JSON, or looking at each of their elements, would hold the loop."""
    return sum([len(tensor.data) for tensor in tensors]) > HERE_ELEMENTS and (
        sum([max(element_count(tensor.shape), len(tensor.data) >> 6) for tensor in tensors]) > HERE_ELEMENTS
    )


def _no_json(name: str, what: str) -> GatewayError:
    return GatewayError(
        Fault.INVALID, f"output '{name}' holds {what}, which JSON cannot carry: ask for it as binary data"
    )


def _dtype_of(name: str, datatype: str) -> np.dtype[Any] | None:
    if datatype == BYTES:
        return None
    if datatype in _BINARY_ONLY:
        raise GatewayError(
            Fault.INVALID,
            f"input '{name}': sending {datatype} data via JSON is not supported, send binary data",
        )
    dtype = DATATYPES.get(datatype)
    if dtype is None:
        raise GatewayError(Fault.INVALID, f"input '{name}' has an unknown datatype")
    return dtype


def _check_count(name: str, text: bytes, count: int, *, is_text: bool) -> None:
    """Bound what decoding can make of ``text``, by counting what separates its elements."""
    if count > _MAX_ELEMENTS:
        raise too_large_shape(name, count)
    made = count_texts(text) if is_text else text.count(b",") + 1
    most = most_decoded(BYTES) if is_text else MAX_DECODED
    if made > most or max(text.count(b"["), count) > MAX_DECODED:
        raise GatewayError(
            Fault.INVALID, f"input '{name}' has more than {most} elements as JSON: send binary data"
        )
    # Without strings every comma stands between two elements, however deep they are nested.
    if count and not is_text and made != count:
        raise _wrong_count(name, count, made)


def _wrong_count(name: str, count: int, got: int) -> GatewayError:
    return GatewayError(
        Fault.INVALID, f"unexpected size for input '{name}': its shape needs {count} elements, got {got}"
    )


def _is_empty(text: bytes, shape: tuple[int, ...]) -> bool:
    """Whether ``text`` is a flat list of nothing, or is nested as a shape that has a 0."""
    bare = text.translate(None, _BLANKS)
    nested = b"[]"
    for dimension in reversed(shape[: shape.index(0)]):
        if dimension * len(nested) > len(bare):
            break
        nested = b"[%b]" % b",".join([nested] * dimension)
    else:
        if bare == nested:
            return True
    return bare == b"[]"


def _depth(text: bytes) -> int:
    beginning = _OPENING.match(text)
    return beginning[0].count(b"[") if beginning else 0


@cache  # at most four kinds of element times the ranks that a shape may have
def _decoder(element: Any, depth: int) -> msgspec.json.Decoder[Any]:
    kind: Any = element
    for _ in range(depth):
        kind = list[kind]
    return msgspec.json.Decoder(kind)


def _plural(element: type) -> str:
    return {bool: "booleans", int: "integers", float: "numbers"}.get(element, "strings")


def _flatten(name: str, rows: list[Any], shape: tuple[int, ...]) -> list[Any]:
    for axis, dimension in enumerate(shape[:-1]):
        lengths = {len(row) for row in rows} if rows else {shape[axis + 1]}
        if (axis == 0 and len(rows) != dimension) or lengths != {shape[axis + 1]}:
            raise GatewayError(Fault.INVALID, f"data of input '{name}' is not nested as its shape")
        rows = list(chain.from_iterable(rows))
    return rows


def _pack(name: str, datatype: str, dtype: np.dtype[Any] | None, flat: list[Any]) -> bytes:
    if dtype is None:
        return join_bytes(np.array([item.encode() for item in flat], dtype=object))
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, dtype)
    except OverflowError:
        raise _out_of_range(name, datatype) from None
    # What was a number must be one still.
    if dtype.kind == "f" and np.isfinite(np.array(flat, np.float64)[~np.isfinite(array)]).any():
        raise _out_of_range(name, datatype)
    return array.tobytes()


def _out_of_range(name: str, datatype: str) -> GatewayError:
    return GatewayError(Fault.INVALID, f"data of input '{name}' has a value out of range for {datatype}")
