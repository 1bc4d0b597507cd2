"""The request that an HTTP/1.1 connection is reading, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.http.server.http1.reader import Http1Reader
from gateway.http.server.http1.requests import Http1Requests
from gateway.http.server.http1.state import Http1ConnectionEvent
from gateway.http.server.http1.writer import Http1Writer
from tests.fakes.application import FakeApplication
from tests.fakes.server_context import FakeTransport, open_context


class Owner:
    """A connection that notes what happens."""

    def __init__(self) -> None:
        self.events: list[Http1ConnectionEvent] = []
        self.steps = 0
        self.reader: Http1Reader | None = None

    @property
    def is_reading(self) -> bool:
        return not {Http1ConnectionEvent.REQUEST_REFUSED, Http1ConnectionEvent.LAST_REQUEST_READ} & set(
            self.events
        )

    @property
    def has_unread(self) -> bool:
        return self.reader is not None and self.reader.has_unread

    def happen(self, event: Http1ConnectionEvent) -> None:
        self.events.append(event)

    def step(self) -> None:
        self.steps += 1

    def abort(self) -> None:
        raise AssertionError


@asynccontextmanager
async def reading() -> AsyncIterator[tuple[Http1Reader, Owner, Any]]:
    """A reader, its owner, and a call that returns what was written."""
    async with open_context(FakeApplication(max_bytes=100)) as context:
        transport, owner = FakeTransport(), Owner()
        writer = Http1Writer(context, transport)  # type: ignore[arg-type]
        usage = context.address_limits.of("a")
        requests = Http1Requests(context, transport, writer, usage, owner)  # type: ignore[arg-type]
        owner.reader = reader = Http1Reader(context, usage.booking(), writer, requests, owner)

        def written() -> bytes:
            writer.flush()
            return b"".join(transport.written)

        yield reader, owner, written
        reader.drop()
        assert not context.address_limits.buffered


def head(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"POST {path} HTTP/1.1", "host: a", *headers, "\r\n")).encode()


async def test_a_request_in_pieces():
    """It is answered when it is whole."""
    async with reading() as (reader, owner, written):
        reader.take_all(reader.parser.feed(head("/now", "content-length: 3") + b"a"))
        assert reader.current is not None
        assert (reader.has_unread, repr(reader)) == (True, "<Http1Reader within a request>")
        reader.take_all(reader.parser.feed(b"bc"))

        assert written().endswith(b"/now:abc")
        assert (owner.events, owner.steps) == ([Http1ConnectionEvent.HEADERS_ACCEPTED], 2)
        assert (reader.has_unread, repr(reader)) == (False, "<Http1Reader between requests>")


async def test_the_last_request():
    """What comes behind it is not looked at."""
    async with reading() as (reader, owner, written):
        reader.take_all(reader.parser.feed(head("/now", "content-length: 0", "connection: close") + b"GET"))

        assert owner.events == [Http1ConnectionEvent.HEADERS_ACCEPTED, Http1ConnectionEvent.LAST_REQUEST_READ]
        assert b"connection: close" in written()


async def test_what_is_no_request():
    """It is refused, and nothing after it is read."""
    async with reading() as (reader, owner, written):
        reader.take_all(reader.parser.feed(b"nonsense\r\n\r\n"))

        assert owner.events == [Http1ConnectionEvent.REQUEST_REFUSED]
        assert written().startswith(b"HTTP/1.1 400 Bad Request\r\n")


async def test_a_body_that_waits_to_be_invited():
    """Once, when its turn has come."""
    async with reading() as (reader, _, written):
        reader.take_all(reader.parser.feed(head("/now", "content-length: 3", "expect: 100-continue")))
        reader.invite()
        reader.invite()
        assert written() == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_a_refusal_with_a_short_body():
    """It is read and dropped, and the connection lives on; a long one is not read."""
    async with reading() as (reader, owner, written):
        reader.take_all(reader.parser.feed(head("/refused", "content-length: 3") + b"abc"))
        assert (owner.events, b"403" in written()) == ([], True)
        reader.take_all(reader.parser.feed(head("/refused", f"content-length: {1 << 20}")))
        assert owner.events == [Http1ConnectionEvent.REQUEST_REFUSED]


async def test_a_streamed_body_that_is_refused():
    """It is being answered already: it breaks off, and gets no second answer."""
    application = FakeApplication()
    application.release()
    async with reading() as (reader, owner, written):
        reader.take_all(reader.parser.feed(head("/stream", "content-length: 30") + b"abc"))
        reader.refuse(408, "too slow")

        assert owner.events == [Http1ConnectionEvent.HEADERS_ACCEPTED, Http1ConnectionEvent.REQUEST_REFUSED]
        assert (written(), reader.current) == (b"", None)
        reader.requests.cancel()
