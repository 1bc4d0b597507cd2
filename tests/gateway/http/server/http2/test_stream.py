"""A request on its way through an HTTP/2 connection."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.http.exchange import BodyPolicy, Head
from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.http2.state import StreamState
from gateway.http.server.http2.stream import Http2Stream
from gateway.http.server.settings import TransportSettings

HEAD = Head("POST", "/x", ())
SETTINGS = TransportSettings(body_timeout_s=10.0, min_body_bytes_per_s=1000, request_timeout_s=100.0)


def stream_of(began: float = 0.0) -> Http2Stream:
    booking = AddressLimits(SETTINGS).of("a").booking()
    return Http2Stream(1, HEAD, BodyPolicy(1), booking, began)


@given(st.lists(st.integers(0, 3000), max_size=50))
def test_body_is_its_parts(sizes: list[int]):
    stream = stream_of()
    parts = [bytes((number % 256,)) * size for number, size in enumerate(sizes)]
    for part in parts:
        stream.add(part)

    assert stream.size == stream.booked == sum(sizes)
    assert bytes(stream.whole()) == b"".join(parts)
    assert bytes(stream.whole()) == b""


def test_one_part_is_not_copied():
    stream = stream_of()
    part = bytes(100)
    stream.add(part)
    assert stream.whole() is part


def test_slow_is_what_comes_below_the_rate_in_any_window():
    """However much came before."""
    stream = stream_of(100.0)
    stream.add(bytes(1_000_000))
    assert stream.progressed_at == 100.0
    assert not stream.is_late(101.0, SETTINGS)
    assert not stream.is_late(111.0, SETTINGS)
    assert stream.is_late(111.1, SETTINGS)
    assert stream.progressed_at == 101.0
    assert not stream.is_late(111.1, SETTINGS, is_held_back=True)
    stream.state = StreamState.ANSWERING
    assert not stream.is_late(999.0, SETTINGS)


def test_idle_is_where_neither_side_sends():
    stream = stream_of()
    assert not stream.is_idle(99.0, 10.0), "its application answers, or its body is late"
    stream.is_answered_in_part = True
    assert not stream.is_idle(10.0, 10.0)
    stream.add(b"a")
    assert not stream.is_idle(11.0, 10.0)
    stream.note_sent(1)
    assert not stream.is_idle(21.1, 10.0)
    assert stream.is_idle(31.2, 10.0)
