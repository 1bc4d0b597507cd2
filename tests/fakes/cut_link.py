"""A link to a server that can be cut: what is under way is lost, and nobody gets through until it is mended.

Example::

    async with CutLink(server.port) as link:
        link.url                  # redis://127.0.0.1:PORT/0
        link.cut()                # resets all connections, and every one that is made from now on
        link.cut_after(20)        # the same once so many bytes have come back
        link.mend()
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self


class CutLink:
    def __init__(self, port: int) -> None:
        self._target = port
        self._is_cut = False
        self._left: int | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> None:
        self._is_cut, self._left = True, None
        for writer in list(self._writers):
            writer.transport.abort()

    def cut_after(self, num_bytes: int) -> None:
        self._left = num_bytes

    def mend(self) -> None:
        self._is_cut, self._left = False, None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._start(self._serve(reader, writer))

    def _start(self, coroutine) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, back}
        self._writers |= both
        try:
            await asyncio.gather(
                self._copy(reader, back, counts=False), self._copy(there, writer, counts=True)
            )
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counts: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if counts and self._left is not None:
                    if len(data) > self._left:
                        writer.write(data[: self._left])
                        await writer.drain()
                        self.cut()
                        return
                    self._left -= len(data)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
