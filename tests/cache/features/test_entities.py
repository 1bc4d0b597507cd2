"""Ids out of a key input, within bounds."""

from __future__ import annotations

import numpy as np
import pytest

from cache.features.entities import MOST_ID_BYTES, entities_of, vectors_shape
from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Tensor


def texts(*ids: bytes, shape: tuple[int, ...] | None = None) -> Tensor:
    return Tensor.from_numpy("user_id", np.array(ids, np.object_).reshape(shape or (-1, 1)))


def test_texts_and_numbers() -> None:
    """A number is its digits: 42 and "42" are the same entity."""
    assert entities_of(texts(b"a", "ü".encode()), "BYTES", 4) == [b"a", "ü".encode()]
    for datatype, dtype in (("INT64", np.int64), ("INT32", np.int32), ("UINT64", np.uint64)):
        tensor = Tensor.from_numpy("user_id", np.array([[1], [42]], dtype))
        assert entities_of(tensor, datatype, 4) == [b"1", b"42"]
    negative = Tensor.from_numpy("user_id", np.array([-7], np.int64))
    assert entities_of(negative, "INT64", 1) == [b"-7"]


@pytest.mark.parametrize(
    ("tensor", "fault", "message"),
    [
        (texts(b""), Fault.INVALID, "element 0 .* it is empty"),
        (texts(b"a", b"x" * (MOST_ID_BYTES + 1)), Fault.INVALID, "element 1 .* 513 bytes"),
        (texts(b"\xff"), Fault.INVALID, "not UTF-8"),
        (texts(b"\xed\xa0\x80"), Fault.INVALID, "not UTF-8"),
        (texts(*[b"a"] * 5), Fault.TOO_LARGE, "names 5 entities, and one request may name 4"),
        (Tensor("user_id", "BYTES", (0, 1), b""), Fault.INVALID, "names no entity"),
        (Tensor("user_id", "BYTES", (), b""), Fault.INVALID, "names no entity"),
        (Tensor("user_id", "BYTES", (2,), b"\x01\0\0\0a"), Fault.INVALID, "2 BYTES elements"),
        (Tensor("user_id", "BYTES", (1,), b"\x09\0\0\0a"), Fault.INVALID, "ends inside an element"),
        (Tensor("user_id", "BYTES", (1 << 40, 1 << 40), b""), Fault.TOO_LARGE, "may name 4"),
        (Tensor("user_id", "BYTES", (-1, -1), b""), Fault.INVALID, "names no entity"),
        (Tensor("user_id", "INT64", (1,), bytes(8)), Fault.INVALID, "as BYTES, and is INT64"),
    ],
)
def test_what_is_no_id_is_the_callers(tensor: Tensor, fault: Fault, message: str) -> None:
    with pytest.raises(GatewayError, match=message) as caught:
        entities_of(tensor, "BYTES", 4)

    assert caught.value.fault is fault


def test_cut_numbers_are_the_callers() -> None:
    with pytest.raises(GatewayError) as caught:
        entities_of(Tensor("user_id", "INT64", (2,), bytes(9)), "INT64", 4)

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("key", "filled"),
    [((3,), (3, 4)), ((3, 1), (3, 4)), ((3, 2), (3, 2, 4)), ((1,), (1, 4)), ((3, 2, 1), (3, 2, 4))],
)
def test_shape(key: tuple[int, ...], filled: tuple[int, ...]) -> None:
    assert vectors_shape(key, 4) == filled
