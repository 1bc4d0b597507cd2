"""Portions of what an HTTP/2 peer sends: bodies are free, and nothing else is."""

from __future__ import annotations

import pytest

from gateway.http.framing.http2_portions import FEW, Http2Portions
from tests.fakes.http2_frames import BEGIN, SETTINGS, data, frame, headers, window


def portions(cut: Http2Portions, piece: bytes) -> list[bytes]:
    found, begins = [], 0
    while begins < len(piece):
        ends = cut.cut(piece, begins)
        assert begins < ends <= len(piece)
        found.append(piece[begins:ends])
        begins = ends
    return found


def begun() -> Http2Portions:
    cut = Http2Portions()
    cut.skip(BEGIN)
    return cut


def test_a_large_body_is_one_portion():
    body = headers(1, end=False) + data(1, bytes(16_384)) * 16
    assert portions(begun(), body) == [body]


@pytest.mark.parametrize(
    "each", [frame(SETTINGS), window(1, 1), data(1, b"x"), data(1, b""), frame(99), frame(99, 0, 0, bytes(5))]
)
def test_many_small_frames_are_many_portions(each: bytes):
    found = portions(begun(), each * 10_000)
    assert b"".join(found) == each * 10_000
    assert max(len(portion) // len(each) for portion in found) <= FEW // 9 + 1


def test_a_large_head_is_many_portions():
    found = portions(begun(), frame(1, 0, 1, bytes(16_000)) + frame(9, 4, 1, bytes(1000)))
    assert max(map(len, found)) <= FEW + 9


@pytest.mark.parametrize("reads", [1, 2, 3, 8, 10, 500])
def test_frames_are_followed_across_reads(reads: int):
    """Wherever the reads end; what comes behind a body in the same read is not taken for more of it."""
    cut = Http2Portions()
    first = BEGIN + headers(1, end=False) + data(1, bytes(600)) + window(1, 1) + data(1, bytes(70_000))
    for begins in range(0, len(first) - 30_000, reads):
        cut.skip(first[begins : min(begins + reads, len(first) - 30_000)])
    found = portions(cut, bytes(30_000) + window(1, 1) * 1000)
    assert 30_000 < len(found[0]) <= 30_000 + FEW + 13
    assert max(map(len, found[1:])) <= FEW + 13


def test_says_where_it_is():
    assert repr(Http2Portions()) == "<Http2Portions, 24 bytes of a frame left>"
