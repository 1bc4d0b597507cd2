"""Compressed bodies: read in full or refused in time."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError
from gateway.wire.compression import ALWAYS_ALLOWED, choose_coding, deflate, inflate

MIB = 1 << 20
X = gzip.compress(b"x", mtime=0)


def refused(body: bytes, coding: str = "gzip", limit: int = 64 * MIB, ratio: int = 100) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        inflate(body, coding, limit, ratio)
    return error.value


@given(st.lists(st.binary(max_size=300), max_size=4), st.sampled_from(["gzip", "deflate"]))
def test_round_trip(parts, coding):
    """What was compressed comes back, in whatever parts it was given."""
    assert inflate(deflate(parts, coding), coding, MIB, 100) == b"".join(parts)


def test_clients_formats_are_read():
    """gzip's and zlib's own writers are understood; a coding's name has no case."""
    assert inflate(gzip.compress(b"x"), " GZIP ", MIB, 100) == b"x"
    assert inflate(gzip.compress(b"x"), "x-gzip", MIB, 100) == b"x"
    assert inflate(zlib.compress(b"x"), "deflate", MIB, 100) == b"x"
    assert inflate(memoryview(zlib.compress(b"x")), "deflate", MIB, 100) == b"x"


def test_bomb_costs_less_than_a_mebibyte():
    """64 MiB of zeros in some KiB are refused before they are there."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(stream.compress(bytes(MIB)) for _ in range(64)) + stream.flush()
    inner = gzip.compress(bomb)  # about 2 KiB, which become 64 KiB, which are 64 MiB

    tracemalloc.start()
    for body in (bomb[:2048], bomb):
        tracemalloc.reset_peak()
        error = refused(body, ratio=1)
        assert error.fault in {Fault.TOO_LARGE, Fault.INVALID}
        assert tracemalloc.get_traced_memory()[1] < MIB
    tracemalloc.stop()
    assert inflate(inner, "gzip", 64 * MIB, 100) == bomb


@pytest.mark.parametrize("data", [bytes(32 * MIB), b"".join(i.to_bytes(4, "big") for i in range(4 * MIB))])
def test_no_thread_copies_a_large_body_at_once(data: bytes):
    """It would hold the interpreter's lock, and the event loop would wait for it."""
    body = gzip.compress(data, 1)

    tracemalloc.start()
    plain = inflate(body, "gzip", 64 * MIB, 1032)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 3 * MIB
    assert plain == data


@pytest.mark.parametrize("behind", [1, 1 << 16, 1 << 18])
@pytest.mark.parametrize("size", [0, 1, 1 << 16, 1 << 18, (1 << 18) + 1, 3 * MIB])
def test_nothing_stands_behind_a_stream(size: int, behind: int):
    """Wherever the stream ends in the pieces that are taken."""
    body = zlib.compress(bytes(size), 0)

    assert inflate(body, "deflate", 64 * MIB, 100) == bytes(size)
    for broken in (body + bytes(behind), body[:-1], body + body):
        assert refused(broken, "deflate").fault is Fault.INVALID


@pytest.mark.parametrize(
    ("size", "limit", "ratio", "fits"),
    [
        (ALWAYS_ALLOWED, MIB, 1, True),
        (ALWAYS_ALLOWED + 1, MIB, 1, False),
        (1000, 1000, 100, True),
        (1001, 1000, 100, False),
        (MIB, 8 * MIB, 1032, True),
    ],
)
def test_bounds_are_exact(size, limit, ratio, fits):
    """The last byte allowed is read, one more is too many."""
    body = gzip.compress(bytes(size))

    if fits:
        assert len(inflate(body, "gzip", limit, ratio)) == size
    else:
        assert refused(body, limit=limit, ratio=ratio).fault is Fault.TOO_LARGE


@pytest.mark.parametrize(
    "body",
    [b"", b"no gzip", X[:-1], X + b"more", X * 2],
    ids=["nothing", "no gzip", "cut short", "more behind it", "two"],
)
def test_broken_streams_are_refused(body):
    """A stream that is not there, no stream, not whole, or followed by something is invalid."""
    assert refused(body).fault is Fault.INVALID


def test_other_codings_are_refused():
    """Nobody here reads Brotli."""
    assert refused(b"", "br").fault is Fault.UNSUPPORTED


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip, deflate", "gzip"),
        ("br, *;q=0.1", "gzip"),
        ("identity", ""),
        ("gzip;q=0", ""),
        ("gzip;q=none", ""),
        ("GZIP; level=1", "gzip"),
    ],
)
def test_choice(accepted, coding):
    """The client's favourite of those that are known, else none."""
    assert choose_coding(accepted) == coding
