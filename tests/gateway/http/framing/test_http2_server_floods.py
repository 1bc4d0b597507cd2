"""HTTP/2 from its server's side, with clients that send too much of everything."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from gateway.http.framing.errors import FramingError
from gateway.http.framing.http2_server import (
    ENHANCE_YOUR_CALM,
    Http2Request,
    Http2Server,
)
from tests.fakes.http2_frames import (
    BEGIN,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    POST,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    block,
    data,
    frame,
    frames,
    headers,
    literal,
    reset,
)

MIB = 1 << 20


def heard(server: Http2Server, piece: bytes) -> list[Any]:
    """What a piece brings; nothing when it ends the connection."""
    try:
        return server.feed(piece)
    except FramingError:
        return []


def sent_frames(server: Http2Server) -> list[Frame]:
    output = b""
    while part := server.output(MIB):
        output += part
    return frames(output)


@pytest.mark.parametrize("flood", ["continuations", "empty continuations", "fields", "bytes"])
def test_heads_far_above_their_limits_end_the_connection(flood: str):
    """CVE-2024-27316 and its like: a head without an end is neither kept nor read for long."""
    server = Http2Server(max_continuations=8)
    server.feed(BEGIN)
    sent_frames(server)
    piece = b"" if flood == "empty continuations" else block([(b"x", b"y" * 100)])
    if flood == "fields":
        piece = block([(b"x", b"y")]) * 100
    elif flood == "bytes":
        piece = block([(b"x", b"y" * 16_000)])
    heard(server, frame(HEADERS, 0, 1, block(POST)))
    taken = 0
    while not server.is_over:
        heard(server, frame(CONTINUATION, 0, 1, piece))
        taken += 1
        assert taken < 100
    (last,) = sent_frames(server)

    assert taken <= 17
    assert (last.kind, last.code, last.payload[:4]) == (GOAWAY, ENHANCE_YOUR_CALM, bytes(4))
    assert not sent_frames(server)
    with pytest.raises(FramingError):
        server.feed(b"x")


def test_a_last_word_is_not_said_into_a_frame():
    """A broken engine has left half a frame with the peer; GOAWAY there would become part of a body."""
    server = Http2Server(max_continuations=0)
    server.feed(BEGIN + headers(1))
    server.answer(1, [(b":status", b"200")], [bytes(10_000)], [])
    assert len(server.output(500)) == 500
    heard(server, frame(HEADERS, 0, 3, block(POST)) + frame(CONTINUATION, 0, 3) * 2)

    assert server.is_over
    assert server.output(MIB) == b""


def test_goaway_names_the_last_stream_that_was_told():
    server = Http2Server(max_continuations=0)
    server.feed(BEGIN + headers(1) + headers(3))
    sent_frames(server)
    heard(server, frame(HEADERS, 0, 5, block(POST)) + frame(CONTINUATION, 0, 5) * 2)

    (last,) = sent_frames(server)
    assert last.payload[:4] == b"\0\0\0\3"
    server.answer(1, [(b":status", b"200")], [b"late"], [])
    server.acknowledge(1, 1)
    server.announce_end()
    server.end()
    assert server.queued(1) == 0 and not sent_frames(server)


def test_rapid_resets_are_cut_off():
    """CVE-2023-44487: two seconds' worth in a burst, then the connection is over."""
    server = Http2Server(max_resets_per_s=5)
    server.feed(BEGIN)
    sent_frames(server)
    begun = 0
    for stream in range(1, 2001, 2):
        begun += sum(
            isinstance(event, Http2Request) for event in heard(server, headers(stream) + reset(stream))
        )
        if goaway := [frame_sent for frame_sent in sent_frames(server) if frame_sent.kind == GOAWAY]:
            assert goaway[0].code != 0
            break
    else:
        pytest.fail("nobody minded")

    assert 10 <= begun <= 20
    assert server.is_over


@pytest.mark.parametrize("piece", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS)], ids=["pings", "settings"])
def test_a_flood_that_wants_answers_is_cut_off_when_it_does_not_read_them(piece: bytes):
    server = Http2Server()
    server.feed(BEGIN)
    count = 0
    while not server.is_over:
        heard(server, piece)
        count += 1
        assert count < 1000
    assert count <= 110


@pytest.mark.parametrize("piece", [data(1, b""), frame(DATA, PADDED, 1, b"\x00")], ids=["empty", "padded"])
def test_a_flood_of_empty_data_brings_nothing(piece: bytes):
    server = Http2Server()
    server.feed(BEGIN + headers(1, end=False))
    assert server.feed(piece * 1000) == []


def test_padding_is_given_back():
    """It is never seen, so nobody could acknowledge it: the windows must not run out of it."""
    server = Http2Server(stream_window_bytes=1 << 16, connection_window_bytes=1 << 16)
    server.feed(BEGIN + headers(1, end=False))
    sent_frames(server)
    opened = {0: 0, 1: 0}
    for _ in range(1000):
        (event,) = server.feed(frame(DATA, PADDED, 1, b"\xff" + b"x" + bytes(255)))
        server.acknowledge(len(event.data), 1)
        for frame_sent in sent_frames(server):
            assert frame_sent.kind == WINDOW_UPDATE
            opened[frame_sent.stream] += frame_sent.code
    assert all(size > 200_000 for size in opened.values())


def test_data_after_a_reset_is_given_back():
    """What is still on its way to a stream that was left must not close the window of the others."""
    server = Http2Server(stream_window_bytes=1 << 16, connection_window_bytes=1 << 16)
    server.feed(BEGIN)
    sent_frames(server)
    for stream in range(1, 200, 2):
        server.feed(headers(stream, end=False))
        server.reset(stream, 8)
        sent_frames(server)
        assert not [event for event in server.feed(data(stream, bytes(5000))) if hasattr(event, "data")]
        assert not server.is_over


def test_one_byte_for_four_thousand():
    """The HPACK bomb: one field into the table, then a reference to it for each byte."""
    server = Http2Server(max_head_bytes=60 << 10)
    large = literal(b"x", b"y" * 4000, indexed=True)
    bomb = frame(HEADERS, 0, 3, block(POST) + b"\xbe" * 16_000)
    server.feed(BEGIN + headers(1, POST, more=large))
    tracemalloc.start()
    try:
        for piece in (bomb, *[frame(CONTINUATION, 0, 3, b"\xbe" * 16_000)] * 20):
            heard(server, piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert server.is_over
    assert peak < MIB
    assert sent_frames(server)[-1].code == ENHANCE_YOUR_CALM


def test_table_sizes_up_and_down():
    """A head may resize the table at its beginning; the fields in it are evicted and nothing else happens."""
    server = Http2Server()
    server.feed(BEGIN + headers(1, more=literal(b"x", b"y", indexed=True)))
    sizes = b"\x20\x3f\xe1\x1f"  # none, then 4096 again
    (request,) = server.feed(frame(HEADERS, END_HEADERS | END_STREAM, 3, sizes + block(POST)))
    assert request.head.headers == (("host", "far"),)
    heard(server, frame(HEADERS, END_HEADERS | END_STREAM, 5, block(POST) + b"\xbe"))
    assert sent_frames(server)[-1].kind == GOAWAY, "what was evicted is not there"
