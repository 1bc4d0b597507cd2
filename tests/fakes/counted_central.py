"""A central tier that counts what it is asked, how much of it at once, and answers when the test lets it.

Example::

    async with CountedCentral(delay_s=0.2) as central:
        central.port, central.calls, central.most_at_once
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Self

_SCORES = [0.91, *[0.01] * 9]


class CountedCentral:
    """Speaks HTTP/1.1, of the model ``digits``; calls are answered after ``delay_s`` and when they may be."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.calls = self.running = self.most_at_once = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
                while True:
                    await self._answer(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                await reader.readexactly(int(line.partition(b":")[2]))
        status, body = 404, b"{}"
        if head.startswith(b"POST") and b"/infer" in head.partition(b"\r\n")[0]:
            status, body = await self._infer()
        writer.write(b"HTTP/1.1 %d Whatever\r\nContent-Type: application/json\r\n" % status)
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()

    async def _infer(self) -> tuple[int, bytes]:
        self.calls += 1
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await self.may_answer.wait()
            await asyncio.sleep(self.delay_s)
        finally:
            self.running -= 1
        output = {"name": "probabilities", "datatype": "FP32", "shape": [1, 10], "data": _SCORES}
        return 200, json.dumps({"model_name": "digits", "model_version": "1", "outputs": [output]}).encode()
