"""The requests of an HTTP/1.1 connection that are answered, without a socket: one at a time, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.http.exchange import Answer, Head
from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.address_limits import Booked
from gateway.http.server.http1.requests import Http1Requests
from gateway.http.server.http1.writer import Http1Writer
from tests.fakes.application import FakeApplication
from tests.fakes.server_context import FakeTransport, open_context

RAW = Http1RequestHead("GET", "/", (), 0, True, False, False)


class Owner:
    """A connection that counts its steps."""

    has_unread = False

    def __init__(self) -> None:
        self.steps = self.aborts = 0

    def step(self) -> None:
        self.steps += 1

    def abort(self) -> None:
        self.aborts += 1


class World:
    """Answers, and all around them."""

    def __init__(self, context: Any, application: FakeApplication) -> None:
        self.context, self.application = context, application
        self.transport, self.owner = FakeTransport(), Owner()
        self.writer = Http1Writer(context, self.transport)  # type: ignore[arg-type]
        self.usage = context.address_limits.of("a")
        self.requests = Http1Requests(
            context,
            self.transport,  # type: ignore[arg-type]
            self.writer,
            self.usage,
            self.owner,
        )

    def submit(self, path: str, body: bytes = b"") -> None:
        booking = self.usage.booking()
        booking.hold(len(body))
        self.requests.submit(Head("GET", path, ()), RAW, body, Booked(booking, len(body), 0))

    def bodies(self) -> list[bytes]:
        """The bodies of what was written."""
        self.writer.flush()
        written = b"".join(self.transport.written)
        return [part.partition(b"\r\n\r\n")[2] for part in written.split(b"HTTP/1.1 ")[1:]]


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Afterwards nothing runs, and nothing is counted."""
    application = FakeApplication()
    async with open_context(application) as context:
        it = World(context, application)
        yield it
        assert (context.running, context.address_limits.buffered) == (0, 0)


async def test_at_once():
    """One after the other."""
    async with world() as it:
        it.submit("/now", b"a")
        it.submit("/now", b"b")

        assert it.bodies() == [b"/now:a", b"/now:b"]
        assert repr(it.requests) == "<Http1Requests free, 0 waiting>"


async def test_in_their_order():
    """Answers and refusals wait for the one before them."""
    async with world() as it:
        it.submit("/later", b"a")
        it.submit("/now", b"b")
        it.requests.reject(RAW, Answer(403, body=(b"no",)))
        assert (it.bodies(), repr(it.requests)) == ([], "<Http1Requests busy, 2 waiting>")
        assert (it.context.running, it.context.address_limits.buffered) == (3, 2)
        it.application.release()
        while it.requests.answering or it.requests.waiting:
            await asyncio.sleep(0)

        assert it.bodies() == [b"/later:a", b"/now:b", b"no"]
        assert it.owner.steps == 1


async def test_while_the_peer_does_not_read():
    """They wait, until it has caught up."""
    async with world() as it:
        it.writer.pause()
        it.submit("/now")
        it.requests.advance()
        assert it.bodies() == []
        it.writer.resume()
        it.requests.advance()

        assert it.bodies() == [b"/now:"]


@pytest.mark.parametrize("path", ["/raises", "/raises-later", "/gives-up", "/gives-up-later"])
async def test_an_application_that_fails(path: str, caplog: pytest.LogCaptureFixture):
    """The client gets an answer, the log the error."""
    async with world() as it:
        it.submit(path)
        while it.requests.answering:
            await asyncio.sleep(0)

        assert it.bodies() == [b'{"error":"internal error"}']
    assert "outside of its application" in caplog.text


async def test_an_answer_that_nobody_waits_for():
    """It is cancelled; the connection ends."""
    async with world() as it:
        it.submit("/later")
        await asyncio.sleep(0)
        it.transport.closed = True
        it.requests.cancel()
        while it.requests.answering:
            await asyncio.sleep(0)

        assert (it.bodies(), it.owner.aborts, it.application.cancelled) == ([], 1, 1)
