"""Values of stores, read into float32."""

from __future__ import annotations

import struct

import msgspec
import pytest

from cache.features.vectors import READERS, StoreError, listed, raw

TWO = struct.pack("<2f", 0.5, -2.0)


def test_three_formats_are_the_same_vector() -> None:
    assert READERS["float32"](TWO) == TWO
    assert READERS["json"](b"[0.5, -2]") == TWO
    assert READERS["msgpack"](msgspec.msgpack.encode([0.5, -2.0])) == TWO


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "length"),
        (b"123", "length"),
        (bytes(4 * 65_537), "length"),
        (struct.pack("<f", float("nan")), "not_finite"),
        (struct.pack("<2f", 0.0, float("-inf")), "not_finite"),
    ],
)
def test_raw_refuses(data: bytes, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        raw(data)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["a"], "garbage"),
        ({"a": 1}, "garbage"),
        ([[1.0], [1.0, 2.0]], "garbage"),
        ([1e39], "not_finite"),
        ([10**400], "garbage"),
        ([None], "not_finite"),
        ([], "length"),
    ],
)
def test_lists_refuse(values: object, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        listed(values)


@pytest.mark.parametrize("name", ["json", "msgpack"])
@pytest.mark.parametrize("data", [b"", b"{", b'["a"]', b"[" * 100_000, b"\xff\xfe", b'{"a": 1}', b"[1e999]"])
def test_garbage(name: str, data: bytes) -> None:
    with pytest.raises(StoreError):
        READERS[name](data)  # type: ignore[index]


def test_rows_follow_each_other() -> None:
    assert listed([[0.5], [-2]]) == TWO
