"""One HTTP/2 connection: what it sends when, and what its end means."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import ngh2
import pytest

from gateway.http.client.http2_connection import Http2ClientConnection, Limits, LostError, NotProcessedError
from gateway.http.framing.errors import FramingError
from gateway.http.framing.http2_client import Http2Client
from tests.fakes.virtual_time import virtual_time

ASK = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"far")]


class Transport:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = "closed"

    def get_extra_info(self, _name: str) -> None:
        return None

    def abort(self) -> None:
        self.ended = "aborted"


class Owner:
    """Remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def freed(self, _connection: Http2ClientConnection) -> None:
        self.heard.append("freed")

    def retired(self, _connection: Http2ClientConnection) -> None:
        self.heard.append("retired")

    def ended(self, _connection: Http2ClientConnection) -> None:
        self.heard.append("ended")


def connected() -> tuple[Http2ClientConnection, Transport, Owner, ngh2.Connection]:
    owner, transport = Owner(), Transport()
    client = Http2Client(
        stream_window_bytes=1 << 20,
        connection_window_bytes=1 << 20,
        max_header_bytes=4096,
        max_body_bytes=1 << 20,
    )
    connection = Http2ClientConnection(client, Limits(streams=9, keepalive_s=9, keepalive_timeout_s=9), owner)
    connection.connection_made(transport)  # type: ignore[arg-type]
    server = ngh2.Connection(ngh2.Role.SERVER)
    server.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: 1 << 24})
    server.set_local_window_size(1 << 24)
    connection.data_received(server.data_to_send())
    assert owner.heard == ["freed"], "SETTINGS may allow more streams than were assumed"
    owner.heard.clear()
    return connection, transport, owner, server


async def test_a_full_socket_holds_frames_back():
    """While the transport takes no more, they stay where they cost nothing twice."""
    connection, transport, _, _ = connected()
    connection.pause_writing()
    before = len(transport.written)
    number, answer = connection.send(ASK, (bytes(100_000),), math.inf)
    assert len(transport.written) == before

    connection.resume_writing()
    assert len(transport.written) > before + 30_000
    answer.cancel()
    connection.cancel(number)
    connection.cancel(number)
    connection.close()


async def test_an_answer_that_nobody_waits_for():
    """It is dropped."""
    connection, transport, owner, server = connected()
    number, answer = connection.send(ASK, (b"x",), math.inf)
    answer.cancel()
    server.receive_data(transport.written)
    server.send_response(number, [(b":status", b"200")], end_stream=True)
    connection.data_received(server.data_to_send())

    assert owner.heard == ["freed"]
    assert connection.running == 0
    connection.close()
    connection.connection_lost(None)
    assert owner.heard == ["freed", "retired", "ended", "ended"]


async def test_the_end_of_the_connection():
    """Calls fail with its reason; nothing may begin any more."""
    connection, _, owner, _ = connected()
    _, answer = connection.send(ASK, (b"x",), math.inf)
    reason = ConnectionResetError()
    connection.connection_lost(reason)

    with pytest.raises(LostError) as lost:
        await answer
    assert lost.value.__cause__ is reason
    assert owner.heard == ["retired", "ended"]
    assert not connection.has_room
    assert repr(connection) == "<Http2ClientConnection closed, 0 running>"


async def test_a_connection_that_leaves_takes_no_calls():
    """Whoever was not told in time is told now, and nothing was sent."""
    connection, _, owner, _ = connected()
    connection.client.shut()

    with pytest.raises(NotProcessedError):
        connection.send(ASK, (b"x",), math.inf)
    assert owner.heard == ["retired"]
    connection.close()


async def test_broken_output_ends_the_connection(monkeypatch: pytest.MonkeyPatch):
    """What cannot be written is not written again and again."""

    connection, transport, _, _ = connected()

    def broken(_most: int) -> Any:
        raise FramingError("no")

    monkeypatch.setattr(connection.client, "output", broken)
    _, answer = connection.send(ASK, (b"x",), math.inf)

    with pytest.raises(FramingError):
        await answer
    assert transport.ended == "aborted"


@virtual_time
async def test_a_peer_that_only_thinks():
    """It answers pings, so the call goes on; it gets two of them in a silence, and then one in five minutes."""
    connection, transport, _, server = connected()
    pings = 0

    async def after(seconds: int) -> int:
        nonlocal pings
        for _ in range(seconds):
            await asyncio.sleep(1)
            sent, transport.written = transport.written, b""
            server.receive_data(sent)
            pings += sum(isinstance(event, ngh2.PingReceived) for event in server.events())
            if reply := server.data_to_send():
                connection.data_received(reply)
        return pings

    stream, answer = connection.send(ASK, [b"x"], math.inf)
    assert [await after(30), await after(280), await after(30)] == [2, 2, 3]
    assert not answer.done()
    server.send_response(stream, [(b":status", b"200")], end_stream=True)

    assert await after(900) == 3
    assert (await answer).status == 200
