"""The end of a listening socket: no new handshake, and an end for every process that shares it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.http.server.handshakes import has_handshakes, refuse_handshakes, stop_listening

LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture(params=LOOPBACK)
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A socket that listens, of either family."""
    with socket.create_server((LOOPBACK[request.param], 0), family=request.param) as listening:
        listening.setblocking(False)
        yield listening


def connect(listening: socket.socket) -> socket.socket:
    """Begin to connect; a handshake on loopback is over at once, unless its first packet is dropped."""
    client = socket.socket(listening.family)
    client.setblocking(False)
    client.connect_ex(listening.getsockname())
    return client


def is_connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True


async def test_no_handshake_begins(listening: socket.socket) -> None:
    """Those in the queue are accepted and work; another client is refused once the socket has ended."""
    with connect(listening) as early:
        assert refuse_handshakes(listening)
        assert is_connected(early)
        with connect(listening) as late:
            assert not is_connected(late)
            accepted, _ = listening.accept()
            with accepted:
                early.send(b"hello")
                early.setblocking(True)
                assert accepted.recv(5) == b"hello"
                accepted.send(b"answer")
                assert early.recv(6) == b"answer"
            with pytest.raises(BlockingIOError):
                listening.accept()
            stop_listening(listening)
            # Its first packet is sent again.
            with pytest.raises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_connect(late, listening.getsockname())


def test_all_that_share_a_socket_see_its_end(listening: socket.socket) -> None:
    """A copy that somebody holds who never looks at it does not keep it open."""
    with listening.dup():
        stop_listening(listening)
        stop_listening(listening)

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listening.getsockname()[:2], timeout=60)


def test_no_handshake_is_under_way(listening: socket.socket) -> None:
    """A connection that came about, accepted or not, is none."""
    with connect(listening):
        assert not has_handshakes(listening.getsockname()[1])


def test_handshake_under_way_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the tables of the kernel, by the port of this side."""
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    lines = (
        "   0: 0100007F:1F90 0100007F:D431 03 00000000:00000000\n   1: 0100007F:1F91 0100007F:1F92 01 0:0\n"
    )
    table = tmp_path / "tcp"
    table.write_text(head + lines)
    monkeypatch.setattr("gateway.http.server.handshakes._TABLES", (tmp_path / "absent", table))

    assert has_handshakes(0x1F90)
    assert not has_handshakes(0x1F91)
    assert not has_handshakes(0x1F92)
    assert not has_handshakes(0xD431)


def test_other_sockets_have_no_handshakes(tmp_path: Path) -> None:
    """A UNIX socket is left as it is."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        assert not refuse_handshakes(listening)
    with socket.socket() as closed:
        pass
    assert not refuse_handshakes(closed)
