"""What a worker gets from its parent: open descriptors, and the sockets on which they call each other."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import msgspec

from gateway.app.workers.standstill import BEAT_S


class Inheritance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Travels as one argument of the worker's command line.

    ``number``: which of the workers. ``serial``: how many were started before it, and itself. ``sockets``:
    listener → descriptor of its socket. ``ready``: a pipe that takes a byte when the worker serves, and
    heartbeats. ``lifeline``: a pipe whose end means that the parent is gone. ``admin``: path of the UNIX
    socket on which the parent calls the worker. ``parent``: of the one on which the worker calls its parent.
    ``count``: of the workers; 0: it is not known, for the parent is older than this program.
    """

    number: int
    serial: int
    sockets: dict[str, int]
    ready: int
    lifeline: int
    admin: str
    parent: str
    count: int = 0

    def encode(self) -> str:
        """Return the argument."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def decode(cls, argument: str) -> Inheritance:
        """Read the argument.

        Raises:
            msgspec.DecodeError: it is not one that a parent wrote.
        """
        return msgspec.json.decode(argument, type=cls)

    def descriptors(self) -> tuple[int, ...]:
        """Return all descriptors that the worker must keep open."""
        return (*self.sockets.values(), self.ready, self.lifeline)

    def watch_parent(self, loop: asyncio.AbstractEventLoop, gone: Callable[[], None]) -> None:
        """Call ``gone`` when the parent is gone: nothing is ever written to the lifeline, it only ends."""

        def end() -> None:
            # It stays readable.
            loop.remove_reader(self.lifeline)
            gone()

        loop.add_reader(self.lifeline, end)

    def is_parent_leaving(self) -> bool:
        """Whether the parent leaves, or is gone, and so all its workers leave."""
        poll = select.poll()
        poll.register(self.lifeline, select.POLLIN)
        return bool(poll.poll(0))

    @asynccontextmanager
    async def beating(self, serves: asyncio.Event) -> AsyncIterator[None]:
        """Report to the parent once this worker ``serves``, and send heartbeats from then on.

        A parent that is gone does not matter, nor one that does not read, nor one that wants no heartbeats.
        """
        task = asyncio.create_task(self._beat(serves))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            os.close(self.ready)

    async def _beat(self, serves: asyncio.Event) -> None:
        os.set_blocking(self.ready, False)
        await serves.wait()
        with suppress(BrokenPipeError):
            while True:
                with suppress(BlockingIOError):
                    os.write(self.ready, b"1")
                await asyncio.sleep(BEAT_S)

    def socket(self, listener: str) -> socket.socket | None:
        """Return the listening socket of ``listener``, if it has one."""
        descriptor = self.sockets.get(listener)
        return None if descriptor is None else socket.socket(fileno=descriptor)
