"""What the kernel knows about a connection."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.http.tcp_info import bytes_acknowledged


async def test_what_a_peer_has_acknowledged():
    """The opening SYN, and every byte that its kernel has taken."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        before = bytes_acknowledged(client)
        if before is None:
            pytest.skip("this kernel does not say")
        client.sendall(b"x" * 1000)
        async with asyncio.timeout(30):
            while bytes_acknowledged(client) != before + 1000:
                await asyncio.sleep(0.001)


def test_where_it_is_not_known():
    """A socket of another kind, one that is closed, and none at all."""
    one, other = socket.socketpair()
    with one, other:
        assert bytes_acknowledged(one) is None
    assert bytes_acknowledged(one) is None
    assert bytes_acknowledged(None) is None
