"""gRPC's framing, deadlines and statuses."""

from __future__ import annotations

import gzip
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError
from gateway.listeners.inflater import Inflater
from gateway.wire.grpc_framing import (
    Unpacking,
    answer_coding,
    encode_message,
    frame,
    frame_compressed,
    parse_timeout,
    prefix,
)
from tests.fakes.exchange import in_pieces


def framed(message: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(message)) + message


def unpacking(encoding: str | None = None, limit: int = 1000) -> Unpacking:
    return Unpacking(limit, encoding, Inflater(limit, 10).inflate)


async def fault_of(body: bytes, encoding: str | None = None) -> Fault:
    with pytest.raises(GatewayError) as refused:
        await unpacking(encoding).only(body)
    return refused.value.fault


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_messages(encoding, pack):
    """A compressed message is read by the call's encoding."""
    assert await unpacking(encoding).only(framed(pack(b"hello"), 1)) == b"hello"
    assert unpacking(encoding).plain(framed(pack(b"hello"), 1)) is None


@given(st.binary(max_size=20))
def test_plain_message(message):
    """A plain message is read as it is, without a copy."""
    assert unpacking("gzip").plain(framed(message)) == message


async def test_bad_messages():
    """What is not exactly one whole message is refused."""
    for body in (b"", b"\0\0\0", framed(b"abc")[:-1], framed(b"a") * 2, framed(b"a", 2)):
        assert await fault_of(body) is Fault.INVALID
    assert await fault_of(framed(b"a", 1)) is Fault.INVALID
    assert await fault_of(framed(b"a", 1), encoding="br") is Fault.UNSUPPORTED
    assert await fault_of(framed(bytes(1001))) is Fault.TOO_LARGE
    assert await fault_of(framed(gzip.compress(bytes(1001)), 1), encoding="gzip") is Fault.TOO_LARGE


@given(st.lists(st.binary(max_size=20), max_size=5), st.integers(1, 12))
async def test_streams_in_any_pieces(sent, size):
    """Messages come out whole wherever the stream was cut."""
    body = b"".join(map(framed, sent))

    read = [(bytes(message), took) async for message, took in unpacking().each(in_pieces(body, size))]

    assert read == [(message, len(message) + 5) for message in sent]


async def test_a_stream_hears_whether_a_message_is_under_way():
    """Never while the message before it is being answered."""
    source = in_pieces(framed(b"abc") + framed(b"d"), 6)

    waits = [source.waits.copy() async for _ in unpacking().each(source)]

    assert (waits, source.waits) == ([[6, 0], [6, 0, 4, 0]], [6, 0, 4, 0, 0])


@pytest.mark.parametrize(
    ("body", "fault"), [(framed(b"ab")[:-1], Fault.INVALID), (framed(bytes(1001)), Fault.TOO_LARGE)]
)
async def test_bad_streams(body, fault):
    """A stream that ends within a message, or holds too large a one, is refused."""
    with pytest.raises(GatewayError) as refused:
        async for _ in unpacking().each(in_pieces(body)):
            pass

    assert refused.value.fault is fault


async def test_compressed_stream():
    """Messages of a stream may be compressed one by one."""
    body = framed(b"a") + framed(gzip.compress(b"b"), 1)

    assert [bytes(m) async for m, _ in unpacking("gzip").each(in_pieces(body))] == [b"a", b"b"]


def test_frames():
    """The prefix counts all parts of the message."""
    assert b"".join(frame([b"ab", b"c"])) == framed(b"abc")
    assert b"".join(frame([])) == framed(b"")
    assert prefix(3) + b"abc" == framed(b"abc")
    assert b"".join(frame_compressed(b"abc")) == framed(b"abc", 1)


@pytest.mark.parametrize(
    ("encoding", "accepted", "coding"),
    [
        ("gzip", "identity, deflate, gzip", "gzip"),
        ("deflate", "deflate", "deflate"),
        ("gzip", "identity,deflate", ""),
        ("gzip", None, ""),
        ("identity", "identity,gzip", ""),
        ("br", "br", ""),
        (None, "gzip", ""),
    ],
)
def test_answers_are_compressed_as_the_call_is(encoding, accepted, coding):
    """Every client accepts compressed answers by itself: only one that compresses wishes for them."""
    assert answer_coding(encoding, accepted) == coding


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("1S", 1), ("2M", 120), ("1H", 3600), ("20m", 0.02), ("5u", 5e-6), ("7n", 7e-9), ("99999999H", 86400)],
)
def test_timeouts(value, seconds):
    """Each unit is known; nothing is longer than a day."""
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["", "S", "1", "1s", "-1S", "123456789S", "1.5S", "\u0661S", "1 S"])
def test_bad_timeouts(value):
    """Anything else is refused."""
    with pytest.raises(GatewayError):
        parse_timeout(value)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("it's 50%", b"it's 50%25"),
        ("é\n", b"%C3%A9%0A"),
        ("\ud800", b"?"),
        ("x" * 2000, b"x" * 1024),
        ("got [1]. ", b"got [1].%20"),
        ("  a b ", b"%20%20a b%20"),
        (" ", b"%20"),
        ("", b""),
        ("x" * 1023 + " y", b"x" * 1023 + b"%20"),
    ],
)
def test_messages_of_statuses(text, encoded):
    """Printable ASCII stands for itself, but for the percent sign."""
    assert encode_message(text) == encoded
