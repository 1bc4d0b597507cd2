"""What one read brings at most does not hold the loop either: many small requests, frames and chunks of a stranger.

Measured as in ``test_loop_steps``; here the bytes are no library's.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.http2_frames import (
    ACK,
    BEGIN,
    CONTINUATION,
    HEADERS,
    PING,
    PRIORITY,
    SETTINGS,
    data,
    frame,
    headers,
    literal,
    reset,
    window,
)
from tests.scenarios.test_loop_steps import CENTRAL, LONGEST_S, Served

READ = 256 << 10
"""Bytes that the loop reads at once."""

INFER = b"POST /v2/models/digits/infer HTTP/1.1\r\nHost:\r\n"


def filled(each: bytes) -> bytes:
    return each * (READ // len(each))


def many(count: int, more: bytes = b"", then: bytes = b"", *, end: bool = True) -> bytes:
    """So many heads, the first of which gives the second entry of the table of names and values."""
    first = headers(1, more=literal(b"x", b"y" * 3900, indexed=True))
    rest = [headers(n, end=end, more=more) + (reset(n) if then else b"") for n in range(3, 2 * count + 1, 2)]
    return BEGIN + first + b"".join(rest)


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
    "heads and resets": many(900, then=b"reset", end=False),
    "heads of many references": many(99, b"\xbe" * 14),
    "heads of many references, and resets": many(190, b"\xbe" * 14, b"reset", end=False),
    "heads that are too large": many(99, b"\xbe" * 29),
    "heads behind a body": BEGIN
    + headers(1, end=False, more=literal(b"x", b"y" * 3900, indexed=True))
    + data(1, bytes(16_000))
    + many(99, b"\xbe" * 14)[len(BEGIN) + 4000 :],
    "questions": BEGIN + b"".join(headers(n) for n in range(1, 200, 2)),
    "pings": BEGIN + filled(frame(PING, 0, 0, bytes(8))),
    "answers to pings": BEGIN + filled(frame(PING, ACK, 0, bytes(8))),
    "settings": BEGIN + filled(frame(SETTINGS)),
    "priorities": BEGIN + headers(1, end=False) + filled(frame(PRIORITY, 0, 1, bytes(5))),
    "windows": BEGIN + filled(window(0, 1)),
    "windows of a stream": BEGIN + headers(1, end=False) + filled(window(1, 1)),
    "bytes of a body": BEGIN + headers(1, end=False) + filled(data(1, b"x")),
    "empty DATA": BEGIN + headers(1, end=False) + filled(data(1, b"")),
    "unknown frames": BEGIN + filled(frame(99)),
    "pieces of a head": BEGIN + frame(HEADERS, 0, 1, b"\x82") + filled(frame(CONTINUATION, 0, 1, b"")),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("reads")
    (folder / "models").mkdir()
    Path(folder / "central.yaml").write_text(CENTRAL)
    with Served(folder / "central.yaml") as it:
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
