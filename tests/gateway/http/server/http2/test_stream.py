"""A request on its way through an HTTP/2 connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.exchange import BodyPolicy, Head
from gateway.http.server.http2.state import StreamState
from gateway.http.server.http2.stream import Http2Stream

HEAD = Head("POST", "/x", ())


@given(st.lists(st.integers(0, 3000), max_size=50))
def test_body_is_its_parts(sizes: list[int]):
    stream = Http2Stream(1, HEAD, BodyPolicy(1), 0.0)
    parts = [bytes((number % 256,)) * size for number, size in enumerate(sizes)]
    for part in parts:
        stream.add(part)

    assert stream.size == stream.held == sum(sizes)
    assert bytes(stream.whole()) == b"".join(parts)
    assert bytes(stream.whole()) == b""


def test_one_part_is_not_copied():
    stream = Http2Stream(1, HEAD, BodyPolicy(1), 0.0)
    part = bytes(100)
    stream.add(part)
    assert stream.whole() is part


def test_slow_is_what_comes_below_the_rate_after_the_first_seconds():
    stream = Http2Stream(1, HEAD, BodyPolicy(1), 100.0)
    stream.add(bytes(1000))
    assert not stream.is_slow(110.0, 10.0, 1000)
    assert stream.is_slow(110.1, 10.0, 1000)
    stream.add(bytes(4200))
    assert not stream.is_slow(110.1, 10.0, 1000)
    assert stream.is_slow(111.0, 10.0, 1000)
    stream.state = StreamState.ANSWERING
    assert not stream.is_slow(999.0, 10.0, 1000)
