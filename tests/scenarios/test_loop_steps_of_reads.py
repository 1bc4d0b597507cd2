"""What one read brings at most does not hold the loop either: many small requests, frames and chunks of a stranger.

Measured as in ``test_loop_steps``; here the bytes are no library's.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.fakes.http2_frames import (
    ACK,
    BEGIN,
    CONTINUATION,
    END_HEADERS,
    HEADERS,
    PING,
    PRIORITY,
    SETTINGS,
    data,
    frame,
    literal,
    reset,
    window,
)
from tests.scenarios.test_loop_steps import EDGE, KEY, LONGEST_S, POLICY, Served

READ = 256 << 10
"""Bytes that the loop reads at once."""

INFER = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost:\r\n"


HOST = b"\x01\x01a"
FIELDS = (
    literal(b":path", b"/v2/models/digits/infer", indexed=True)
    + HOST
    + literal(b"x", b"y" * 3900, indexed=True)
)
OPEN = BEGIN + frame(HEADERS, END_HEADERS, 1, b"\x83\x86" + FIELDS)
"""A stream whose body has not come. HPACK's table has its path as 0xbf, and as 0xbe a field of 3,900 bytes."""


def filled(each: bytes) -> bytes:
    return each * (READ // len(each))


def many(count: int, more: bytes = b"", *, resets: bool = False, before: bytes = b"") -> bytes:
    """So many heads of seven bytes, with references."""
    fields = b"\x83\x86\xbf" + HOST + more
    rest = b"".join(
        [
            frame(HEADERS, END_HEADERS | (not resets), number, fields) + (reset(number) if resets else b"")
            for number in range(3, 2 * count + 1, 2)
        ]
    )
    return OPEN + before + rest


HTTP1 = {
    "requests": filled(b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "requests of a question": filled(b"GET /v2/models/digits HTTP/1.1\r\nHost:\r\n\r\n"),
    "requests with bodies": filled(INFER + b"Content-Length: 1\r\n\r\nx"),
    "requests that are no JSON": filled(INFER + b"Content-Length: 2\r\n\r\n{}"),
    "chunks": INFER + b"Transfer-Encoding: chunked\r\n\r\n" + filled(b"1\r\nx\r\n"),
    "heads of many fields": filled(b"GET / HTTP/1.1\r\nHost:\r\n" + b"a:\r\n" * 90 + b"\r\n"),
    "large heads": filled(b"GET / HTTP/1.1\r\nHost:\r\n" + b"a:" + b"b" * 50_000 + b"\r\n\r\n"),
    "empty lines": filled(b"\r\n"),
}
HTTP2 = {
    "heads": many(100),
    "heads and resets": many(900, resets=True),
    "heads of many references": many(99, b"\xbe" * 14),
    "heads of many references, and resets": many(190, b"\xbe" * 14, resets=True),
    "heads that are too large": many(99, b"\xbe" * 29),
    "heads that are too large, and resets": many(900, b"\xbe" * 29, resets=True),
    "heads behind a body": many(99, b"\xbe" * 14, before=data(1, bytes(16_000))),
    "heads behind bodies": many(99, b"\xbe" * 14, before=data(1, bytes(16_000)) * 3),
    "pings": BEGIN + filled(frame(PING, 0, 0, bytes(8))),
    "answers to pings": BEGIN + filled(frame(PING, ACK, 0, bytes(8))),
    "settings": BEGIN + filled(frame(SETTINGS)),
    "priorities": OPEN + filled(frame(PRIORITY, 0, 1, bytes(5))),
    "windows": BEGIN + filled(window(0, 1)),
    "windows of a stream": OPEN + filled(window(1, 1)),
    "bytes of a body": OPEN + filled(data(1, b"x")),
    "empty DATA": OPEN + filled(data(1, b"")),
    "unknown frames": BEGIN + filled(frame(99)),
    "pieces of a head": BEGIN + frame(HEADERS, 0, 1, b"\x82") + filled(frame(CONTINUATION, 0, 1, b"")),
}


def write_settings(folder: Path) -> Path:
    """An edge that knows nobody who calls here, and whose central tier is away."""
    policy = (
        POLICY.replace("PROTOCOL", "http")
        .replace("PORT", "1")
        .replace("HASH", sha256(KEY.encode()).hexdigest())
    )
    (folder / "policy.yaml").write_text(policy)
    (folder / "edge.yaml").write_text(EDGE)
    return folder / "edge.yaml"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(write_settings(tmp_path_factory.mktemp("reads"))) as it:
        yield it


def send(served: Served, sent: bytes) -> None:
    """Send all of it over a connection of its own, and read until the other side has no more to say."""
    with socket.create_connection(("127.0.0.1", served.gateway.servers.http.port)) as peer:
        peer.settimeout(0.3)
        try:
            peer.sendall(sent)
            while peer.recv(1 << 20):
                pass
        except OSError:
            pass


@pytest.mark.parametrize("name", HTTP1 | HTTP2)
def test_what_comes_at_once(served: Served, name: str) -> None:
    """Whatever the answer is."""
    took_s = served.shortest_s(lambda: send(served, (HTTP1 | HTTP2)[name]))
    assert took_s <= LONGEST_S, f"held for {took_s * 1e3:.0f} ms"
