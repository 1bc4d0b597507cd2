"""Bodies made smaller where that pays."""

from __future__ import annotations

import random

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.levels.compression import FEWEST_BYTES, MOST_BYTES, SIZE_BYTES, ExpandError, compress, expand

NOISE = random.Random(1).randbytes(100_000)


@given(st.binary(max_size=300), st.integers(1, 200))
def test_round_trip(data: bytes, times: int) -> None:
    body = data * times
    assert bytes(expand(bytes(compress(bytearray(SIZE_BYTES) + body)), len(body))) == body


@pytest.mark.parametrize(
    ("body", "is_smaller"),
    [
        (bytes(FEWEST_BYTES), True),
        (bytes(FEWEST_BYTES - 1), False),
        (NOISE, False),
        (bytes(MOST_BYTES), True),
        (bytes(MOST_BYTES + 1), False),
    ],
    ids=["large enough", "too small", "noise", "the largest", "too large"],
)
def test_only_what_pays(body: bytes, is_smaller: bool) -> None:
    packed = compress(bytearray(SIZE_BYTES) + body)
    assert (len(packed) < len(body)) is is_smaller
    assert bytes(expand(bytes(packed), len(body))) == body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\x05\0\0\0",
        b"\x05\0\0\0nonsense",
        b"\xff\xff\xff\xff" + lz4.block.compress(bytes(5000), store_size=False),
        b"\x88\x13\0\0" + lz4.block.compress(bytes(4999), store_size=False),
        b"\x88\x13\0\0" + lz4.block.compress(bytes(5001), store_size=False),
    ],
)
def test_what_is_not_of_its_size_is_refused(data: bytes) -> None:
    with pytest.raises(ExpandError):
        expand(data, 5000)
