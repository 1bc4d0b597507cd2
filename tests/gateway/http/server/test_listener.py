"""The listening socket: accepting, its limits, and its end."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

from gateway.core.clock import LoopClock
from gateway.http.server.binding import bind
from gateway.http.server.listener import HttpListener
from tests.fakes.application import FakeApplication, connection, listening
from tests.fakes.http import get, read_answer
from tests.fakes.loops import both_loops


@both_loops
async def test_who_waits_in_the_queue_is_answered():
    """A drain takes in whoever the kernel has let in already."""
    async with listening(FakeApplication()) as listener:
        client = socket.create_connection(("127.0.0.1", listener.port))
        client.setblocking(False)
        client.send(get("/now"))
        # Not one turn of the loop has passed that could have accepted it.
        await listener.stop_accepting()
        reader, writer = await asyncio.open_connection(sock=client)

        assert (await read_answer(reader)).status == 200
        writer.close()


@both_loops
async def test_end_of_a_shared_socket(caplog):
    """Whoever came before it is answered; the others who share the socket go on with what they have accepted."""
    shared = bind("127.0.0.1", 0)
    copy = shared.dup()
    port = shared.getsockname()[1]
    leaving, other = (HttpListener(FakeApplication(), LoopClock()) for _ in range(2))
    await leaving.start_on(shared)
    async with connection(port) as (reader, writer):
        writer.write(get("/now"))
        assert (await read_answer(reader)).status == 200

        await other.start_on(copy)
        await leaving.refuse_new()
        await leaving.stop_accepting()

        try:
            await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            pass
        else:
            raise AssertionError("it still listens")
        # The loop sees a socket that has ended as one to accept from.
        await asyncio.sleep(0)
        await other.aclose()
        await leaving.aclose(1.0)
        writer.close()
        assert caplog.records == []


@both_loops
async def test_a_unix_socket(tmp_path):
    """Its peers have no address, and are served."""
    application = FakeApplication()
    listening_socket = socket.socket(socket.AF_UNIX)
    listening_socket.bind(str(tmp_path / "s"))
    listening_socket.listen()
    listener = HttpListener(application, LoopClock())
    await listener.start_on(listening_socket)
    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
    writer.write(get("/now"))

    assert (await read_answer(reader)).status == 200
    assert application.heads[0].peer == ""
    writer.close()
    await listener.aclose()


class Exhausted:
    """A socket whose accept fails once, as it does when no descriptor is left."""

    def __init__(self, real: socket.socket) -> None:
        self.real, self.fails = real, 1

    def accept(self):
        if self.fails:
            self.fails -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self.real.accept()

    def fileno(self) -> int:
        return self.real.fileno()

    def setblocking(self, flag: bool) -> None:
        self.real.setblocking(flag)

    def getsockname(self) -> Any:
        return self.real.getsockname()

    def close(self) -> None:
        self.real.close()


@both_loops
async def test_out_of_descriptors(caplog):
    """Said once and tried again a moment later: not at every turn of the loop."""
    listener = HttpListener(FakeApplication(), LoopClock())
    exhausted: Any = Exhausted(bind("127.0.0.1", 0))
    await listener.start_on(exhausted)
    async with connection(listener.port) as (reader, writer):
        writer.write(get("/now"))
        assert (await read_answer(reader)).status == 200
    await listener.aclose()

    assert caplog.text.count("cannot be accepted: Too many open files") == 1


@both_loops
async def test_closing_twice_is_closing_once():
    """And the port is free afterwards."""
    async with listening(FakeApplication()) as listener:
        await listener.aclose()
        await listener.aclose()
        assert "closed" in repr(listener)
        socket.create_server(("127.0.0.1", listener.port)).close()
