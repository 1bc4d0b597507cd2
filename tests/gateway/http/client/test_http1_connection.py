"""One HTTP/1.1 connection: what its end says about the request under way."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest

from gateway.http.client.http1_connection import ConnectionLostError, Http1ClientConnection
from gateway.http.framing.http1_client import ResponseReader
from tests.fakes.upstreams import http


class Kernel:
    """A socket that tells how many bytes its peer took; an error where it cannot."""

    def __init__(self, noted: Any) -> None:
        self.noted = noted

    def getsockopt(self, *_arguments: Any) -> bytes:
        if isinstance(self.noted, Exception):
            raise self.noted
        if isinstance(self.noted, bytes):
            return self.noted
        return bytes(120) + struct.pack("=Q", self.noted)


class Transport:
    """Takes what is written."""

    def __init__(self, **extra: Any) -> None:
        self.extra = extra
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, parts: Any) -> None:
        self.written += parts

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)


def connected(transport: Transport) -> tuple[Http1ClientConnection, list[str]]:
    heard: list[str] = []
    connection = Http1ClientConnection(
        ResponseReader(max_head_bytes=1000, max_body_bytes=1000),
        lambda _: heard.append("released"),
        lambda _: heard.append("lost"),
    )
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, heard


@pytest.mark.parametrize(
    ("extra", "untouched"),
    [
        ({"socket": Kernel(5)}, True),
        ({"socket": Kernel(6)}, False),
        ({"socket": Kernel(OSError())}, False),
        ({"socket": Kernel(b"short")}, False),
        ({}, False),
        ({"socket": Kernel(5), "ssl_object": object()}, False),
    ],
)
async def test_only_the_kernel_knows_what_the_peer_took(extra, untouched):
    """Of a request whose bytes were not acknowledged nothing was done; what cannot be known is not assumed."""
    connection, heard = connected(Transport(**extra))
    first = connection.send("POST", b"head", (), 0)
    connection.data_received(http(200, close=False))
    await first

    second = connection.send("POST", b"head", (), 0)
    connection.connection_lost(None)
    with pytest.raises(ConnectionLostError) as lost:
        await second

    assert lost.value.untouched is untouched
    assert heard == ["released", "lost"]


async def test_the_first_request_of_a_connection_is_never_stale():
    """A server that closes new connections is broken, and asking it again would not help."""
    connection, _ = connected(Transport(socket=Kernel(0)))

    waiting = connection.send("POST", b"head", (), 0)
    connection.connection_lost(None)

    with pytest.raises(ConnectionLostError) as lost:
        await waiting
    assert not lost.value.untouched


async def test_large_bodies_are_not_copied():
    """Small requests go out in one piece, large ones in the pieces that they came in."""
    transport = Transport()
    connection, _ = connected(transport)
    body = bytes(1 << 17)

    answer = connection.send("POST", b"head", (memoryview(body),), len(body))
    assert repr(connection) == f"<Http1ClientConnection busy, {len(body) + 4} bytes out>"
    answer.cancel()
    connection.close()

    assert transport.written[1].obj is body  # type: ignore[attr-defined]
    assert transport.aborted
    assert repr(connection).startswith("<Http1ClientConnection closed")


async def test_an_answer_that_nobody_waits_for():
    """It is dropped; the connection may be used again."""
    connection, heard = connected(Transport())
    connection.send("POST", b"head", (), 0).cancel()
    await asyncio.sleep(0)

    connection.data_received(http(200, close=False))

    assert heard == ["released"]
    assert repr(connection) == "<Http1ClientConnection idle, 4 bytes out>"


async def test_closing_before_the_transport_came():
    """There is nothing to close."""
    connection = Http1ClientConnection(ResponseReader(max_head_bytes=1, max_body_bytes=1), print, print)

    connection.close()

    assert repr(connection).startswith("<Http1ClientConnection closed")
