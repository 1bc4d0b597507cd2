"""Blanks at the ends of values: exchanged wherever a value stands, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing.errors import FramingError
from gateway.http.framing.hpack_blanks import MARK, marked, unmarked
from tests.fakes.http2_frames import coded_literal, literal

M = bytes([MARK])
WRITERS = [literal, coded_literal]
EXCHANGED = {
    b" ": M,
    b"\t": M,
    b"  ": M + M,
    b"a ": b"a" + M,
    b"a\t": b"a" + M,
    b" a": M + b"a",
    b"\ta": M + b"a",
    b" a b  ": M + b"a b " + M,
    b"got [1,1]. ": b"got [1,1]." + M,
    b"long " * 100: b"long " * 99 + b"long" + M,
    M: b"\0",
    b"a" + M: b"a\0",
    M + b"a ": b"\0a" + M,
}
AS_THEY_ARE = [b"", b"a", b"a b", b"a\tb", b"30m", b"4m", b"a\xf7b", b"\xf8", b"\xff\xff", b"{}", b"x" * 300]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize(("value", "exchanged"), EXCHANGED.items())
def test_blanks_at_the_ends(write: Any, value: bytes, exchanged: bytes, *, indexed: bool):
    before, after = b"\x82\x84", literal(b"z", b"z")
    head = write(b"name", value, indexed=indexed)
    found = marked(before + head + after)

    assert found is not None
    assert found.startswith(before + head[:2]) and found.endswith(exchanged + after)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("value", AS_THEY_ARE)
def test_other_values(write: Any, value: bytes):
    assert marked(write(b"x-name", value)) is None


@pytest.mark.parametrize(
    "name",
    [
        b"\x0f\x80\x01",
        b"\x1f\x00",
        b"\x10\x01n",
        b"\x00\x7f\x01" + b"n" * 128,
        b"\x58",
        b"\x7f\x00",
        b"\x3f\x00\x04",
    ],
    ids=[
        "long index",
        "never indexed",
        "never indexed name",
        "long name",
        "known name",
        "63",
        "table size first",
    ],
)
def test_ways_to_write_a_name(name: bytes):
    assert marked(name + b"\x02a ") == name + b"\x02a" + M


def test_long_indices_and_sizes_are_passed():
    begin = b"\xff\x80\x01\x3f\xe1\x1f\x20\xbe"
    assert marked(begin + literal(b"x", b"a ")) == begin + literal(b"x", b"a" + M)


@pytest.mark.parametrize("cut", range(1, 7))
def test_a_block_that_is_cut_off_is_left_to_the_parser(cut: int):
    assert marked(literal(b"x", b"a ")[:-cut] if cut < 6 else b"\x7f\x80\x80\x80\x80\x80\x80\x80") is None


def test_what_is_no_huffman_code_is_left_to_the_parser():
    assert marked(b"\x00\x01x\x8a" + b"\xff" * 6 + b"\xff\xff\xff\x53" + literal(b"x", b"a ")) is None


def test_more_is_not_decoded_than_takes_no_time():
    """The parser refuses such blanks, as it always has; it would not refuse the mark."""
    assert marked(coded_literal(b"x", b"blank " * 1500)) is None
    assert marked(coded_literal(b"x", b"blanks" * 1500)) is None
    with pytest.raises(FramingError):
        marked(coded_literal(b"x", b"mark" * 2000 + M))
    many = b"".join(coded_literal(b"x", b"blank " * 100) for _ in range(200))
    found = marked(many)
    assert found is not None and 5 < found.count(M) < 20


@given(
    st.lists(st.tuples(st.sampled_from([b"x", b"name"]), st.binary(max_size=12), st.sampled_from(WRITERS)))
)
def test_a_value_comes_out_as_it_was_sent(fields: list[tuple[bytes, bytes, Any]]):
    """Or is refused; both tables have entries of the same length."""
    written = [write(name, value) for name, value, write in fields]
    assert (marked(b"".join(written)) or b"".join(written)) == b"".join(
        marked(each) or each for each in written
    )
    for each, (_, value, _) in zip(written, fields, strict=True):
        exchanged, found = _exchanged(value), marked(each)
        assert len(exchanged) == len(value)
        assert exchanged == value if found is None else found.endswith(exchanged)
        if b"\0" not in {exchanged[:1], exchanged[-1:]} or exchanged == value:
            ends = {0, len(value) - 1}
            assert unmarked(exchanged) == bytes(
                32 if byte == 9 and place in ends else byte for place, byte in enumerate(value)
            )


def _exchanged(value: bytes) -> bytes:
    found = marked(literal(b"x", value))
    return value if found is None else found[4:] if len(value) < 127 else found[5:]


@pytest.mark.parametrize("value", [b"", b"a", b"a b", b"a\xf7b"])
def test_a_value_without_marks_is_itself(value: bytes):
    assert unmarked(value) is value
