"""HTTP/2 from its server's side, with clients that mean no good: no crash, no hang, no more than agreed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.framing.errors import FramingError
from gateway.http.framing.http2_server import (
    PROTOCOL_ERROR,
    HeadTooLarge,
    Http2Request,
    Http2Server,
)
from tests.fakes.http2_frames import (
    ACK,
    BEGIN,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    POST,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    block,
    data,
    frame,
    frames,
    headers,
    reset,
    setting,
    window,
)

MIB = 1 << 20
METHOD, SCHEME, PATH, AUTHORITY = POST


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


def replaced(pair: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [pair if pair[0] == known[0] else known for known in POST]


MALFORMED = {
    "no path": [METHOD, SCHEME, AUTHORITY],
    "no method": [SCHEME, PATH, AUTHORITY],
    "no scheme": [METHOD, PATH, AUTHORITY],
    "neither authority nor host": [METHOD, SCHEME, PATH],
    "path twice": [*POST, PATH],
    "authority twice": [*POST, AUTHORITY],
    "host twice": [METHOD, SCHEME, PATH, (b"host", b"a"), (b"host", b"a")],
    "host that is not the authority": [*POST, (b"host", b"near")],
    "pseudo-header behind a field": [METHOD, (b"x", b"y"), SCHEME, PATH, AUTHORITY],
    "pseudo-header that nobody knows": [*POST, (b":x", b"y")],
    "pseudo-header of an answer": [*POST, (b":status", b"200")],
    "upper case": [*POST, (b"Xy", b"y")],
    "empty name": [*POST, (b"", b"y")],
    "blank in a name": [*POST, (b"x y", b"y")],
    "connection": [*POST, (b"connection", b"close")],
    "keep-alive": [*POST, (b"keep-alive", b"1")],
    "proxy-connection": [*POST, (b"proxy-connection", b"close")],
    "upgrade": [*POST, (b"upgrade", b"websocket")],
    "transfer-encoding": [*POST, (b"transfer-encoding", b"chunked")],
    "te": [*POST, (b"te", b"gzip")],
    "connect": [(b":method", b"CONNECT"), AUTHORITY],
    "extended connect": [(b":method", b"CONNECT"), *POST[1:], (b":protocol", b"websocket")],
    "absolute path": replaced((b":path", b"http://far/x")),
    "empty path": replaced((b":path", b"")),
    "asterisk": [(b":method", b"OPTIONS"), SCHEME, (b":path", b"*"), AUTHORITY],
    "path of another scheme": [METHOD, (b":scheme", b"ftp"), (b":path", b"x"), AUTHORITY],
    "blank in the path": replaced((b":path", b"/a b")),
    "path beyond ASCII": replaced((b":path", b"/\xc3\xa9")),
    "bad method": replaced((b":method", b"PO ST")),
    "user in the authority": replaced((b":authority", b"me@far")),
    "line break in a value": [*POST, (b"x", b"y\r\nz: 1")],
    "NUL in a value": [*POST, (b"x", b"\0")],
    "mark of a blank": [*POST, (b"x", b"y\xf7")],
    "blank around a length": [*POST, (b"content-length", b" 5")],
    "blank after the method": replaced((b":method", b"POST ")),
    "blank after the path": replaced((b":path", b"/x ")),
    "blank after the authority": replaced((b":authority", b"far ")),
    "blank before the scheme": replaced((b":scheme", b" http")),
    "length with a sign": [*POST, (b"content-length", b"+5")],
    "length in letters": [*POST, (b"content-length", b"five")],
    "length of nothing": [*POST, (b"content-length", b"")],
    "length beyond 64 bits": [*POST, (b"content-length", b"9" * 20)],
    "length of five thousand digits": [*POST, (b"content-length", b"9" * 5000)],
    "length twice": [*POST, (b"content-length", b"5"), (b"content-length", b"5")],
    "length as a list": [*POST, (b"content-length", b"5, 5")],
}


@pytest.mark.parametrize("pairs", MALFORMED.values(), ids=MALFORMED)
def test_malformed_heads_are_reset_and_the_connection_lives(pairs: list[tuple[bytes, bytes]]):
    server = Http2Server()
    events = server.feed(BEGIN + headers(1, pairs, end=False) + headers(3))

    assert [(event.stream, type(event)) for event in events] == [(3, Http2Request)]
    resets = [frame_sent for frame_sent in sent_frames(server) if frame_sent.kind == RST_STREAM]
    assert [(frame_sent.stream, frame_sent.code) for frame_sent in resets] == [(1, PROTOCOL_ERROR)]
    assert not server.is_over


@pytest.mark.parametrize(
    ("length", "bodies"),
    [(b"5", [b"1234"]), (b"5", [b"12", b"3456"]), (b"0", [b"1"]), (b"5", [b""])],
)
def test_length_that_is_not_that_of_the_body(length: bytes, bodies: list[bytes]):
    server = Http2Server()
    server.feed(BEGIN + headers(1, [*POST, (b"content-length", length)], end=False))
    for body in bodies:
        events = heard(server, data(1, body, end=body is bodies[-1]))
        assert not any(getattr(event, "is_complete", False) for event in events)
    assert (RST_STREAM, 1) in [(frame_sent.kind, frame_sent.stream) for frame_sent in sent_frames(server)]


def test_length_without_a_body():
    server = Http2Server()
    assert server.feed(BEGIN + headers(1, [*POST, (b"content-length", b"5")])) == []


@pytest.mark.parametrize("trailer", [(b":path", b"/y"), (b"X", b"y"), (b"connection", b"close")])
def test_bad_trailers_do_not_complete_a_request(trailer: tuple[bytes, bytes]):
    server = Http2Server()
    events = server.feed(BEGIN + headers(1, end=False) + data(1, b"hi") + headers(1, [trailer]))

    assert not any(getattr(event, "is_complete", False) for event in events[:2])
    assert len(events) == 2


def test_host_that_is_the_authority_is_said_once():
    (request,) = Http2Server().feed(BEGIN + headers(1, [*POST, (b"host", b"FAR")]))
    assert request.head.headers == (("host", "far"),)
    (request,) = Http2Server().feed(BEGIN + headers(1, [*POST[:3], (b"host", b"near")]))
    assert request.head.headers == (("host", "near"),)


FATAL = {
    "even stream": headers(2),
    "stream 0": headers(0),
    "data on stream 0": data(0, b"x"),
    "data on a stream that never was": data(1, b"x"),
    "reset of a stream that never was": reset(1),
    "window of nothing": window(0, 0),
    "window that overflows": window(0, (1 << 31) - 1),
    "window of a stream that overflows": headers(1, end=False) + window(1, (1 << 31) - 1),
    "short window update": frame(WINDOW_UPDATE, 0, 0, b"x"),
    "initial window too large": frame(SETTINGS, 0, 0, setting(4, 1 << 31)),
    "frame size too small": frame(SETTINGS, 0, 0, setting(5, 1)),
    "push neither on nor off": frame(SETTINGS, 0, 0, setting(2, 2)),
    "settings of a stream": frame(SETTINGS, 0, 1),
    "settings in halves": frame(SETTINGS, 0, 0, b"xyz"),
    "acknowledgement with content": frame(SETTINGS, ACK, 0, setting(4, 1)),
    "33 settings": frame(SETTINGS, 0, 0, setting(3, 9) * 33),
    "short ping": frame(PING, 0, 0, b"x"),
    "push": frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"),
    "continuation of nothing": frame(CONTINUATION, END_HEADERS, 1),
    "something between continuations": frame(HEADERS, 0, 1, block(POST)) + frame(PING, 0, 0, bytes(8)),
    "data in the middle of a head": frame(HEADERS, 0, 1, block(POST)) + data(1, b"x"),
    "other stream in the middle of a head": frame(HEADERS, 0, 1, block(POST)) + headers(3),
    "frame above 16 KiB": headers(1, end=False) + data(1, bytes(16_385)),
    "more padding than frame": headers(1, end=False) + frame(DATA, PADDED, 1, b"\x09abc"),
    "head after the end": headers(1) + headers(1),
    "data after the end": headers(1) + data(1, b"x"),
    "HPACK that ends too early": frame(HEADERS, 5, 1, b"\x40\x0aab"),
    "HPACK index that is not there": frame(HEADERS, 5, 1, b"\xff\x80\x01"),
    "HPACK integer without end": frame(HEADERS, 5, 1, b"\xff" * 20),
    "HPACK table above the limit": frame(HEADERS, 5, 1, b"\x3f\xff\xff\xff\x03" + block(POST)),
    "Huffman padding of zeros": frame(HEADERS, 5, 1, b"\x00\x81\x00\x01x"),
    "stream that depends on itself": frame(HEADERS, 0x25, 1, b"\0\0\0\1\x10" + block(POST)),
}


@pytest.mark.parametrize("piece", FATAL.values(), ids=FATAL)
def test_what_breaks_the_connection_says_so(piece: bytes):
    """Whatever comes after it is not read."""
    server = Http2Server()
    server.feed(BEGIN)
    sent_frames(server)
    heard(server, piece)
    last = sent_frames(server)[-1]

    assert last.kind == GOAWAY and last.code != 0
    assert server.is_over
    assert heard(server, headers(99)) == []


@pytest.mark.parametrize(
    "noise", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", bytes(24), b"\x16\x03\x01" * 9]
)
def test_bad_preface(noise: bytes):
    server = Http2Server()
    with pytest.raises(FramingError):
        server.feed(noise)
    assert server.is_over
    assert frames(server.output(MIB))[-1].kind == GOAWAY


def test_preface_without_settings():
    server = Http2Server()
    heard(server, BEGIN[:24] + headers(1))
    assert sent_frames(server)[-1].kind == GOAWAY
    assert server.is_over


def poke(server: Http2Server, event: Any) -> None:
    """Do with an event what a connection might."""
    if hasattr(event, "data"):
        server.acknowledge(len(event.data), event.stream)
    if isinstance(event, Http2Request | HeadTooLarge) or getattr(event, "is_complete", False):
        server.answer(event.stream, [(b":status", b"200")], [b"x" * 100], [(b"grpc-status", b"0")])


VALID = [
    headers(1, end=False),
    headers(3),
    data(1, b"x" * 50),
    data(1, b"", end=True),
    reset(1),
    window(0, 1000),
    window(1, 1000),
    frame(PING, 0, 0, bytes(8)),
    frame(SETTINGS, 0, 0, setting(4, 10)),
    frame(HEADERS, 0, 5, block(POST)),
    frame(CONTINUATION, END_HEADERS, 5),
    frame(GOAWAY, 0, 0, bytes(8)),
]
ANY_FRAME = st.builds(
    frame, st.integers(0, 12), st.integers(0, 255), st.integers(0, 9), st.binary(max_size=60)
)


@given(
    st.lists(st.one_of(st.sampled_from(VALID), ANY_FRAME, st.binary(max_size=40)), max_size=30), st.booleans()
)
def test_noise(pieces: list[bytes], begins: bool):
    """Whatever comes: the module's own error or none, and an end to what it says."""
    server = Http2Server(max_resets_per_s=2)
    total = 0
    for piece in [BEGIN, *pieces] if begins else pieces:
        for event in heard(server, piece):
            poke(server, event)
        try:
            while output := server.output(1 << 16):
                total += len(output)
        except FramingError:
            break
        if server.is_over:
            break
    assert total < 100_000
    assert isinstance(server.is_over, bool)


@given(st.data())
def test_a_flipped_bit(draw: st.DataObject):
    """Of a stream that is right but for one bit, what comes before it is what it was."""
    whole = BEGIN + headers(1, end=False) + data(1, b"x" * 50, end=True) + headers(3) + reset(3)
    place = draw.draw(st.integers(0, len(whole) * 8 - 1))
    bent = bytearray(whole)
    bent[place // 8] ^= 1 << place % 8
    server = Http2Server()
    for byte in bent:
        for event in heard(server, bytes((byte,))):
            poke(server, event)
        if server.is_over:
            break
    while heard_back := server.output(MIB):
        assert heard_back
