"""A listener over real sockets whose application is the test's, and clients that speak HTTP/2 to it.

Example::

    async with wired(answer) as wired_, wired_.client() as client:
        stream = client.ask(b"body")
        await client.until(lambda: client.ended(stream))
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import ngh2

from gateway.core.clock import LoopClock
from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy, Fields, Head
from gateway.http.server.http2.connection import Http2ServerConnection
from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings
from tests.fakes.application import connection
from tests.fakes.http2_frames import POST

JSON = Fields((b"content-type", b"application/json"))


class ScriptedApplication:
    """``play(head, body)`` answers; ``opening(head)`` says how bodies are taken."""

    def __init__(
        self, play: Callable[[Head, Any], Coroutine[Any, Any, AnyAnswer]], opening: Any = None
    ) -> None:
        self.play, self.opening = play, opening or BodyPolicy(1 << 24)
        self.heads: list[Head] = []

    def open(self, head: Head) -> BodyPolicy | Answer:
        self.heads.append(head)
        return self.opening(head) if callable(self.opening) else self.opening

    def answer(self, head: Head, body: Any) -> Coroutine[Any, Any, AnyAnswer]:
        return self.play(head, body)

    answer_stream = answer

    def refuse(self, _head: Head | None, status: int, message: str) -> Answer:
        return Answer(status, JSON, (message.encode(),))


class Client:
    """One connection. What it hears is in ``events``; with ``reads`` False it hears nothing more."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.http2 = ngh2.Connection(ngh2.Role.CLIENT)
        self.events: list[Any] = []
        self.is_over = False
        self.reading: asyncio.Task[None] | None = None

    def begin(self, window: int = 1 << 24, *, reads: bool = True) -> None:
        self.http2.initiate_connection({ngh2.Setting.INITIAL_WINDOW_SIZE: window})
        if window > 65_535:
            self.http2.set_local_window_size(window)
        self.flush()
        if reads:
            self.reading = asyncio.create_task(self.read())

    async def read(self) -> None:
        try:
            while piece := await self.reader.read(1 << 18):
                self.http2.receive_data(piece)
                self.events += self.http2.events()
                self.flush()
        except (ConnectionError, ngh2.NGH2Error):
            pass
        finally:
            self.is_over = True

    def flush(self) -> None:
        while received := self.http2.data_to_send():
            self.writer.write(received)

    def ask(self, body: bytes = b"", headers: Any = (), *, end: bool = True, method: bytes = b"POST") -> int:
        head = [(b":method", method), *POST[1:], *headers]
        stream = self.http2.send_request(head, end_stream=end and not body)
        if body:
            self.http2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def of(self, stream: int, kind: Any) -> list[Any]:
        return [each for each in self.events if isinstance(each, kind) and each.stream_id == stream]

    def ended(self, stream: int) -> bool:
        return bool(self.of(stream, ngh2.StreamClosed))

    def status(self, stream: int) -> int:
        return int(dict(self.of(stream, ngh2.ResponseReceived)[0].headers)[b":status"])

    def body(self, stream: int) -> bytes:
        return b"".join(event.data for event in self.of(stream, ngh2.DataReceived))

    def code(self, stream: int) -> int:
        return self.of(stream, ngh2.StreamClosed)[0].error_code

    @property
    def goaways(self) -> list[ngh2.GoAwayReceived]:
        return [event for event in self.events if isinstance(event, ngh2.GoAwayReceived)]

    async def whole(self, *args: Any, **options: Any) -> tuple[int, bytes]:
        """Ask and wait: the status and the body."""
        stream = self.ask(*args, **options)
        await until(lambda: self.ended(stream))
        return self.status(stream), self.body(stream)

    def leave(self) -> None:
        if self.reading is not None:
            self.reading.cancel()
        self.writer.transport.abort()


async def until(condition: Callable[[], Any], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.005)


class Wired:
    """The listener, its books, and clients of it."""

    def __init__(self, listener: HttpListener, application: ScriptedApplication) -> None:
        self.listener, self.application = listener, application
        self.context = listener.context

    async def connected(self) -> Http2ServerConnection:
        """The newest connection, as soon as it speaks HTTP/2."""
        await until(lambda: isinstance([None, *self.context.registry.all][-1], Http2ServerConnection))
        found = list(self.context.registry.all)[-1]
        assert isinstance(found, Http2ServerConnection)
        return found

    @asynccontextmanager
    async def client(self, window: int = 1 << 24, *, reads: bool = True) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.listener.port))
        client.begin(window, reads=reads)
        try:
            yield client
        finally:
            client.leave()

    def raw(self) -> AbstractAsyncContextManager[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection for bytes that no client would send."""
        return connection(self.listener.port)

    async def released(self) -> None:
        """Wait until the books are clean of requests."""
        await until(lambda: not (self.context.running or self.context.address_limits.held))


@asynccontextmanager
async def wired(play: Any, opening: Any = None, **limits: Any) -> AsyncIterator[Wired]:
    """A started listener; afterwards its books must be empty."""
    application = ScriptedApplication(play, opening)
    listener = HttpListener(application, LoopClock(), TransportSettings(**limits))
    await listener.start("127.0.0.1", 0)
    it = Wired(listener, application)
    try:
        yield it
        await until(lambda: not it.context.registry)
        await it.released()
    finally:
        await listener.aclose()
    assert (it.context.running, it.context.address_limits.held, len(it.context.registry)) == (0, 0, 0)
