"""The address of one member: what comes there goes on to a central tier, until it has a fault."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from enum import StrEnum
from typing import Final

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_UNAVAILABLE: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_MOST: Final = 1 << 20


class Fault(StrEnum):
    """What is wrong there."""

    NONE = "none"
    SLOW = "slow"
    MUTE = "mute"
    STORM = "storm"


class FaultyMember:
    """HTTP/1.1, request by request.

    ``fault``: SLOW: each request waits for ``delay_s``; MUTE: what the tier answers is lost; STORM: 503.
    ``came``: loop times at which inference requests came.
    """

    def __init__(self, host: str, port: int, tier_port: int) -> None:
        self.host, self.port = host, port
        self._tier_port = tier_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.fault, self.delay_s = Fault.NONE, 0.0
        self.came: list[float] = []

    def __repr__(self) -> str:
        state = "up" if self._server else "down"
        return f"<FaultyMember {self.address}, {state}, {self.fault}, {len(self.came)} came>"

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    async def up(self) -> None:
        """Take connections."""
        if self._server is None:
            self._server = await asyncio.start_server(
                self._accept, self.host, self.port, limit=_MOST, backlog=512
            )

    async def down(self) -> None:
        """Refuse connections, and reset those that are open."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", self._tier_port)
        pump = asyncio.create_task(self._pump(answers, writer))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = _LENGTH.search(head)
                body = await reader.readexactly(int(found[1])) if found else b""
                if b"/infer " in head:
                    self.came.append(asyncio.get_running_loop().time())
                if self.fault is Fault.STORM:
                    writer.write(_UNAVAILABLE)
                    continue
                if self.fault is Fault.SLOW:
                    await asyncio.sleep(self.delay_s)
                requests.writelines((head, body))
        finally:
            pump.cancel()
            requests.transport.abort()

    async def _pump(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while part := await answers.read(1 << 16):
                if self.fault is not Fault.MUTE:
                    writer.write(part)
            writer.close()
