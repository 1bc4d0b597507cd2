"""Connections that do one request each and then stand idle, over HTTP/1.1 and over HTTP/2."""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

from gateway.http.framing.http2_client import Http2Client, Http2Response
from loadtests.bench import world

_READ: Final = 1 << 16
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TIMEOUT_S: Final = 10.0
_WINDOW: Final = 1 << 16


@contextmanager
def http1(port: int, count: int, body: bytes, headers: Mapping[str, str]) -> Iterator[None]:
    """Hold ``count`` connections that were answered once, while the block runs."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {world.PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    with ExitStack() as held:
        for _ in range(count):
            connection = held.enter_context(_connect(port))
            connection.sendall(head.encode() + body)
            _read_answer(connection)
        yield


@contextmanager
def http2(port: int, count: int, body: bytes, headers: Mapping[str, str]) -> Iterator[None]:
    """Hold ``count`` connections that were answered once, while the block runs."""
    pseudo = {":method": "POST", ":scheme": "http", ":authority": "localhost", ":path": world.PATH}
    lower = {name.lower(): value for name, value in headers.items()}
    fields = [(name.encode(), value.encode()) for name, value in (pseudo | lower).items()]
    with ExitStack() as held:
        for _ in range(count):
            _ask_http2(held.enter_context(_connect(port)), fields, body)
        yield


def allow_files(count: int) -> bool:
    """Let this process and its children open so many files and some more; False where it may not."""
    wanted = count + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


def _connect(port: int) -> socket.socket:
    return socket.create_connection((world.ADDRESS, port), timeout=_TIMEOUT_S)


def _read_answer(connection: socket.socket) -> None:
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += _some(connection)
    if not received.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"not answered: {received[:200]!r}")
    length = _LENGTH.search(received, 0, end)
    missing = end + 4 + (int(length[1]) if length else 0) - len(received)
    while missing > 0:
        missing -= len(_some(connection))


def _ask_http2(connection: socket.socket, fields: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    client = Http2Client(
        stream_window_bytes=_WINDOW,
        connection_window_bytes=_WINDOW,
        max_header_bytes=_WINDOW,
        max_body_bytes=_WINDOW,
    )
    client.request(fields, [body])
    while True:
        while received := client.output(_READ):
            connection.sendall(received)
        for _, outcome in client.feed(_some(connection)):
            if not isinstance(outcome, Http2Response) or outcome.status != 200:
                raise RuntimeError(f"not answered: {outcome}")
            # What the client still has to send, such as its acknowledgement of SETTINGS.
            connection.sendall(client.output(_READ))
            return


def _some(connection: socket.socket) -> bytes:
    if not (data := connection.recv(_READ)):
        raise RuntimeError("the gateway closed an idle connection")
    return data
