"""Header blocks are found wherever they are in what comes, and however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing.hpack_blanks import marked
from gateway.http.framing.http2_blanks import Http2Blanks
from tests.fakes.http2_frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    block,
    data,
    frame,
    frames,
    headers,
)

BLANK, PLAIN = [(b"x", b"a ")], [(b"x", b"a")]
MARKED = marked(block(BLANK)) or b""
WITH_PRIORITY = 0x20
BEGUN = frame(HEADERS, 0, 1, block(BLANK)[:3])


def all_of(blanks: Http2Blanks, received: bytes, size: int) -> bytes:
    return b"".join(blanks.pass_on(received[at : at + size]) for at in range(0, len(received), size))


@pytest.mark.parametrize("size", [1, 2, 7, 9, 10, 40, 1000])
def test_however_it_is_cut(size: int):
    received = headers(1, BLANK, end=False) + data(1, b"y" * 30) + headers(3, PLAIN) + headers(1, BLANK)
    blanks = Http2Blanks()

    assert all_of(blanks, received, size) == received.replace(block(BLANK), MARKED)
    assert blanks.has_marked
    # What was found once is found again.
    assert all_of(blanks, received, size) == received.replace(block(BLANK), MARKED)


@pytest.mark.parametrize("size", [1, 2, 7, 9, 10, 40, 1000])
def test_without_blanks_all_is_passed_on_as_it_is(size: int):
    received = headers(1, PLAIN, end=False) * 3 + data(1, b"y" * 30) + frame(PING, payload=b"x" * 8)
    blanks = Http2Blanks()

    assert all_of(blanks, received, size) == received
    assert not blanks.has_marked
    assert blanks.pass_on(received) is received


def test_a_cut_block_that_begins_as_a_known_one():
    known, more = block(PLAIN), block([(b"z", b"a ")])
    received = frame(HEADERS, END_HEADERS, 1, known) + frame(HEADERS, END_HEADERS, 3, known + more)
    blanks = Http2Blanks()
    cut = len(received) - len(more)

    passed_on = blanks.pass_on(received[:cut]) + blanks.pass_on(received[cut:])
    assert passed_on == received.replace(more, marked(more) or b"")


def test_what_begins_no_frame():
    blanks = Http2Blanks(len(b"preface"))
    assert blanks.pass_on(b"pre") + blanks.pass_on(b"face" + headers(1, BLANK)) == b"preface" + headers(
        1, BLANK
    ).replace(block(BLANK), MARKED)


@pytest.mark.parametrize("size", [1, 8, 1000])
def test_a_block_in_several_frames(size: int):
    pieces = block(BLANK)
    received = (
        frame(HEADERS, END_STREAM, 5, pieces[:2])
        + frame(CONTINUATION, 0, 5, b"")
        + frame(CONTINUATION, END_HEADERS, 5, pieces[2:])
    )

    (found,) = frames(all_of(Http2Blanks(), received, size))
    assert found == (HEADERS, END_STREAM | END_HEADERS, 5, MARKED)


def test_padding_and_priority():
    padded = bytes([4]) + b"12345" + block(BLANK) + bytes(4)
    (found,) = frames(Http2Blanks().pass_on(frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 3, padded)))
    assert found == (HEADERS, END_HEADERS | WITH_PRIORITY, 3, b"12345" + MARKED)

    only = bytes([2]) + block(BLANK) + bytes(2)
    (found,) = frames(Http2Blanks().pass_on(frame(HEADERS, END_HEADERS | PADDED, 3, only)))
    assert found == (HEADERS, END_HEADERS, 3, MARKED)


def test_a_block_that_grows_beyond_a_frame():
    pairs = [(b"long", b"y" * 16_000), (b"more", b"z" * 16_000), *BLANK]
    whole = block(pairs)
    received = frame(HEADERS, 0, 1, whole[:16384]) + frame(CONTINUATION, END_HEADERS, 1, whole[16384:])

    found = frames(Http2Blanks().pass_on(received))
    assert [(each.kind, each.flags) for each in found] == [(HEADERS, 0), (CONTINUATION, END_HEADERS)]
    assert b"".join(each.payload for each in found) == marked(whole)


@pytest.mark.parametrize(
    "received",
    [
        BEGUN + data(1, b"between"),
        BEGUN + frame(CONTINUATION, END_HEADERS, 3, block(BLANK)[3:]),
        BEGUN + frame(CONTINUATION, 0, 1, b"") * 12,
        frame(HEADERS, END_HEADERS, 1, block(BLANK) + bytes(16385)),
        frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + block(BLANK)),
        frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, b""),
        frame(CONTINUATION, END_HEADERS, 1, block(BLANK)),
    ],
    ids=["another frame", "another stream", "without end", "too long", "padding", "empty", "of nothing"],
)
def test_what_is_wrong_is_left_to_the_parser(received: bytes):
    blanks = Http2Blanks()
    assert blanks.pass_on(received) == received
    assert blanks.pass_on(headers(3, BLANK)) == headers(3, BLANK).replace(block(BLANK), MARKED)


def test_no_more_is_held_than_a_block_may_have():
    blanks = Http2Blanks()
    piece = frame(CONTINUATION, 0, 1, bytes(16384))
    came, passed = 0, blanks.pass_on(frame(HEADERS, 0, 1, b""))
    for _ in range(20):
        came += len(piece)
        passed += blanks.pass_on(piece)
    assert came - len(passed) < 10 * len(piece)


def test_many_blocks_in_one_piece():
    """Neither a call in a call for each, nor all of it copied for each."""
    received = headers(1, BLANK) * 5000
    assert Http2Blanks().pass_on(received) == headers(1, BLANK).replace(block(BLANK), MARKED) * 5000


@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b" ", b"b ", b"\t", b"\xf7", b"long value"]), st.booleans()),
        max_size=8,
    ),
    st.lists(st.integers(1, 60), min_size=1),
)
def test_cuts_change_nothing(values: list[tuple[bytes, bool]], sizes: list[int]):
    received = b"".join(
        headers(number, [(b"x", value)]) + (data(number, value * 9) if has_body else b"")
        for number, (value, has_body) in enumerate(values)
    )
    at, blanks, passed = 0, Http2Blanks(), b""
    for size in sizes * (len(received) + 1):
        passed += blanks.pass_on(received[at : at + size])
        at += size
    assert passed == Http2Blanks().pass_on(received)
