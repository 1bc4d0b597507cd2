"""An Application that does what its test says, behind a real listener.

Paths choose: ``/now`` answers without a wait, ``/later`` when the test says so, and so on; every answer is
the request's own path and body, so that none can be taken for another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from gateway.core.clock import LoopClock
from gateway.core.tensor import Buffer
from gateway.http.exchange import (
    Answer,
    AnyAnswer,
    BodyPolicy,
    Fields,
    GeneratedBody,
    Head,
    RequestBody,
    StreamedAnswer,
)
from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings

JSON = Fields((b"content-type", b"application/json"))
MARK: ContextVar[str] = ContextVar("mark", default="")


class FakeApplication:
    """Keeps the heads it saw; ``release`` lets every ``/later`` go, and whatever else waits."""

    def __init__(self, max_bytes: int = 1 << 20) -> None:
        self.max_bytes = max_bytes
        self.opened: list[Head] = []
        self.heads: list[Head] = []
        self.cancelled = 0
        self.broken: list[str] = []
        self.taken = 0
        self.sent = 0
        self._go = asyncio.Event()

    def release(self) -> None:
        """Let go whatever waits."""
        self._go.set()

    def open(self, head: Head) -> BodyPolicy | Answer:
        self.opened.append(head)
        if head.path == "/refused":
            return Answer(403, JSON, (b'{"error":"refused"}',))
        return BodyPolicy(self.max_bytes, is_stream=head.path.startswith("/stream"))

    async def answer(self, head: Head, body: Buffer) -> AnyAnswer:
        return await self._answer(head, body)

    async def answer_stream(self, head: Head, body: RequestBody) -> AnyAnswer:
        return await self._answer(head, body)

    async def _answer(self, head: Head, body: Any) -> AnyAnswer:
        self.heads.append(head)
        try:
            answers = self._answers.get(head.path.partition("?")[0], FakeApplication._now)
            return await answers(self, head, body)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        return Answer(status, JSON, (b'{"error":"%b"}' % message.encode(),))

    async def _now(self, head: Head, body: Any) -> Answer:
        return Answer(200, JSON, (head.path.encode(), b":", bytes(body)))

    async def _later(self, head: Head, body: Any) -> Answer:
        await self._go.wait()
        return await self._now(head, body)

    async def _context(self, head: Head, body: Any) -> Answer:
        token = MARK.set("said before the wait")
        await asyncio.sleep(0)
        received = MARK.get()
        MARK.reset(token)
        return Answer(200, JSON, (received.encode(),))

    async def _raises(self, head: Head, body: Any) -> Answer:
        raise ZeroDivisionError("secret")

    async def _raises_later(self, head: Head, body: Any) -> Answer:
        await asyncio.sleep(0)
        raise ZeroDivisionError("secret")

    async def _gives_up(self, head: Head, body: Any) -> Answer:
        raise asyncio.CancelledError

    async def _gives_up_later(self, head: Head, body: Any) -> Answer:
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    async def _last(self, head: Head, body: Any) -> Answer:
        await asyncio.sleep(0)
        return Answer(200, JSON, (b"last",), close=True)

    async def _large(self, head: Head, body: Any) -> Answer:
        return Answer(200, JSON, (bytes(int(head.path.partition("?")[2])),))

    async def _stream(self, head: Head, body: Any) -> Answer:
        """Read the body part by part, the first after the release."""
        await self._go.wait()
        try:
            async for part in body:
                self.taken += len(part)
        except ConnectionResetError as error:
            self.broken.append(str(error))
        return Answer(200, JSON, (b"%d" % self.taken,))

    async def _streams(self, head: Head, body: Any) -> StreamedAnswer:
        return StreamedAnswer(200, JSON, GeneratedBody(self._parts(int(head.path.partition("?")[2]))))

    async def _breaks(self, head: Head, body: Any) -> StreamedAnswer:
        return StreamedAnswer(200, JSON, GeneratedBody(self._parts(-1)))

    async def _parts(self, count: int) -> AsyncGenerator[Buffer, None]:
        try:
            if count < 0:
                yield b"a part"
                raise ZeroDivisionError("secret")
            for _ in range(count):
                yield bytes(1 << 16)
                self.sent += 1 << 16
        except GeneratorExit:
            self.broken.append("answer")
            raise

    _answers: ClassVar = {
        "/": _now,
        "/now": _now,
        "/later": _later,
        "/context": _context,
        "/raises": _raises,
        "/raises-later": _raises_later,
        "/gives-up": _gives_up,
        "/gives-up-later": _gives_up_later,
        "/last": _last,
        "/large": _large,
        "/stream": _stream,
        "/streams": _streams,
        "/breaks": _breaks,
    }


@asynccontextmanager
async def listening(
    application: FakeApplication, settings: TransportSettings | None = None
) -> AsyncIterator[HttpListener]:
    """A listener before ``application``, on a free port."""
    listener = HttpListener(application, LoopClock(), settings)
    await listener.start("127.0.0.1", 0)
    try:
        yield listener
    finally:
        await listener.aclose()


@asynccontextmanager
async def connection(
    port: int, limit: int = 1 << 16, **options: Any
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client's end of a connection, which ends with the block; ``limit`` bytes are read ahead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=limit, **options)
    try:
        yield reader, writer
    finally:
        if not writer.transport.is_closing():
            writer.transport.abort()


async def until(condition: Callable[[], Any], within_s: float = 30) -> None:
    """Wait for what another task is about to do."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)


def is_at_rest(listener: HttpListener) -> bool:
    """Whether there are no connections, no requests, and no bytes of bodies."""
    return not listener.context.registry and is_free(listener)


def is_free(listener: HttpListener) -> bool:
    """Whether there are no requests and no bytes of bodies."""
    context = listener.context
    return not context.running and not context.address_limits.held
