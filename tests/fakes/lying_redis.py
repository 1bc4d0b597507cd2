"""A server on loopback that stands for a Redis which lies, is slow to connect to, or refuses.

Example::

    async with LyingRedis(b"*2147483647\r\n") as server:
        server.url                # redis://127.0.0.1:PORT/0
        server.connections        # how many have been made

It answers the first PING of a connection as Redis does, unless ``greeting`` is something else, and all that
comes after with ``reply``. ``delay_s`` passes before a connection is answered at all.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

PONG = b"+PONG\r\n"


class LyingRedis:
    def __init__(
        self,
        reply: bytes,
        *,
        greeting: bytes = PONG,
        delay_s: float = 0.0,
        drip_s: float = 0.0,
        hangs_up: bool = False,
        later: bytes | None = None,
    ) -> None:
        self.reply, self.greeting, self.delay_s = reply, greeting, delay_s
        self._drip_s, self._hangs_up, self._later = drip_s, hangs_up, later
        self.url = ""
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for _ in range(5):
            await asyncio.sleep(0)  # what the listener has accepted gets its task in one of the next turns
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)  # what was aborted closes in the next turn of the loop

    def say(self, text: bytes) -> None:
        """Send ``text`` to all, though nobody has asked."""
        for writer in self._writers:
            writer.write(text)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        is_later = self.connections > 1
        try:
            with suppress(ConnectionError):  # who is lied to hangs up
                await asyncio.sleep(self.delay_s)
                answer, is_first = self.greeting, True
                while await reader.read(1 << 16):
                    await self._say(writer, answer, 0.0 if is_first else self._drip_s)
                    if self._hangs_up and not is_first:
                        return
                    answer = self._later if self._later is not None and is_later else self.reply
                    is_first = False
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _say(self, writer: asyncio.StreamWriter, text: bytes, drip_s: float) -> None:
        for piece in [text[at : at + 1] for at in range(len(text))] if drip_s else [text]:
            writer.write(piece)
            await writer.drain()
            if drip_s:
                await asyncio.sleep(drip_s)
