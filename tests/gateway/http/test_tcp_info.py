"""What the kernel knows about a connection."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

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


def test_a_transport_of_uvloop_that_is_closed():
    """Its socket has a number that no socket has; what a peer has not read may still be watched."""

    async def closed() -> int | None:
        server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()):
            transport, _ = await asyncio.get_running_loop().create_connection(
                asyncio.Protocol, *server.sockets[0].getsockname()
            )
            kept = transport.get_extra_info("socket")
            transport.abort()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            server.close()
            return bytes_acknowledged(kept)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(closed()) is None
