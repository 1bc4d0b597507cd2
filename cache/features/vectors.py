"""Vectors as stores have them, read into raw little-endian float32. What cannot be one is a store's error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import numpy as np

from gateway.core.features import MOST_ELEMENTS

Format = Literal["float32", "msgpack", "json"]

FLOAT_BYTES: Final = 4
_FLOAT32: Final = np.dtype("<f4")
_MSGPACK: Final = msgspec.msgpack.Decoder(list[float])
_JSON: Final = msgspec.json.Decoder(list[float])


class StoreError(Exception):
    """A store could not be asked, or what it gave is no vector. ``reason`` is one word, fit for a label."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def raw(data: bytes) -> bytes:
    """Return ``data``, elements as they stand in memory.

    Raises:
        StoreError: they are none, or not all of them are finite.
    """
    if not data or len(data) % FLOAT_BYTES or len(data) > MOST_ELEMENTS * FLOAT_BYTES:
        raise StoreError("length")
    if not np.isfinite(np.frombuffer(data, _FLOAT32)).all():
        raise StoreError("not_finite")
    return data


def listed(values: Any) -> bytes:
    """Return the bytes of a list of numbers, or of lists of them one after the other.

    Raises:
        StoreError: it is none, or a number is beyond float32.
    """
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(values, dtype=np.float64).astype(_FLOAT32).ravel()
    except (ValueError, TypeError, OverflowError) as error:
        raise StoreError("garbage") from error
    return raw(array.tobytes())


def _decoded(decode: Callable[[bytes], list[float]]) -> Callable[[bytes], bytes]:
    def read(data: bytes) -> bytes:
        try:
            values = decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise StoreError("garbage") from error
        return listed(values)

    return read


READERS: Final[Mapping[Format, Callable[[bytes], bytes]]] = {
    "float32": raw,
    "msgpack": _decoded(_MSGPACK.decode),
    "json": _decoded(_JSON.decode),
}
"""Format → what reads a value of it."""
