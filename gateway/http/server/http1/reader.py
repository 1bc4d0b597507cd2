"""The request that an HTTP/1.1 connection is reading, from its headers to the end of its body."""

from __future__ import annotations

from typing import Final, Protocol

from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, BodyPolicy, Head
from gateway.http.framing.http1_server import (
    Http1Event,
    Http1RequestHead,
    Http1Server,
    MalformedRequest,
    RequestEnd,
)
from gateway.http.server.address_limits import Booking
from gateway.http.server.body_stream import HIGH, BodyStream
from gateway.http.server.context import ServerContext
from gateway.http.server.ended_peers import Ending
from gateway.http.server.http1.body import LARGE, Http1Body
from gateway.http.server.http1.requests import Http1Requests
from gateway.http.server.http1.state import Http1ConnectionEvent
from gateway.http.server.http1.writer import Http1Writer, closing
from gateway.http.server.incoming_bodies import GIVEN_UP
from gateway.http.server.repeated_head import RepeatedHead

_REQUEST: Final = 4 << 10
"""Bytes that a request is taken to need until it is answered, besides its head and its body."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class ReaderOwner(Protocol):
    """The connection, as its reader knows it."""

    @property
    def is_reading(self) -> bool:
        """Whether more requests are read."""
        ...

    def happen(self, event: Http1ConnectionEvent) -> None:
        """Take an event of the request that is being read."""
        ...

    def step(self) -> None:
        """Continue after all bytes that have come were processed."""
        ...


class Http1Reader:
    """``current``: the request that is being read, from the end of its headers on.

    ``parser`` gives out what the reader takes. ``body``: of the current request.
    """

    __slots__ = (
        "_context",
        "_left",
        "_owes_continue",
        "_owner",
        "_writer",
        "body",
        "current",
        "head",
        "parser",
        "requests",
    )

    def __init__(
        self,
        context: ServerContext,
        booking: Booking,
        writer: Http1Writer,
        requests: Http1Requests,
        owner: ReaderOwner,
        *,
        peer: str = "",
    ) -> None:
        self._context, self._writer, self.requests, self._owner = context, writer, requests, owner
        limits = context.settings
        self.parser = Http1Server(
            max_head_bytes=limits.max_request_headers_kb << 10, max_headers=limits.max_headers_count
        )
        self.head = RepeatedHead(peer)
        self.body = Http1Body(booking, self._give_up)
        self.current: tuple[Head, Http1RequestHead] | None = None
        self._left = 0
        self._owes_continue = False

    def __repr__(self) -> str:
        return f"<Http1Reader {'within a request' if self.current else 'between requests'}>"

    @property
    def has_unread(self) -> bool:
        """Whether a request is being read, or came together with those that were."""
        return self.current is not None or self._left > 0

    def take_all(self, events: list[Http1Event]) -> None:
        """Take what a piece of the stream has brought, up to the last request that is read."""
        self._left = len(events)
        for event in events:
            self._left -= 1
            self._take(event)
            if not self._owner.is_reading or self._writer.is_closing:
                break
        self._left = 0
        self._owner.step()

    def cut(self, data: bytes, begins: int) -> int:
        """Return where a portion of ``data`` ends that is little work; all that comes of a body is."""
        if self.current is None or (length := self.current[1].length) is None:
            return self.parser.cut(data, begins)
        return begins + length - self.body.size

    def take_large(self, data: bytes) -> bytes:
        """Take a piece of a body that comes past the parser; return what comes after it."""
        rest = self.body.fill(data)
        if rest is None:
            return b""
        if isinstance(rest, bytes):
            self.parser.skip_body()
            self.take_end()
        else:
            self.refuse(*rest)
            rest = b""
        self._owner.step()
        return rest

    def _take(self, event: Http1Event) -> None:
        if isinstance(event, Http1RequestHead):
            head = self.head.of(event)
            self.take_head(head, event, self._context.application.open(head))
        elif isinstance(event, RequestEnd):
            self.take_end()
        elif isinstance(event, MalformedRequest):
            self.refuse(event.status, event.message)
        else:
            self.take_body(event)

    def take_head(self, head: Head, raw: Http1RequestHead, opened: BodyPolicy | Answer) -> None:
        """Take request headers, which the application has accepted, or refused."""
        self.current = (head, raw)
        if isinstance(opened, Answer):
            # A short body is read and dropped, and the connection lives on. One that waits for 100 Continue
            # may never come.
            lives_on = raw.keep_alive and not raw.expects_continue
            is_short = raw.length is not None and raw.length <= LARGE and (lives_on or not raw.length)
            self._reject(opened, has_body=not is_short)
            return
        stream = BodyStream(self.requests.waiting.flow) if opened.is_stream else None
        cost, now = request_cost(raw) + (HIGH if opened.is_stream else 0), self._context.loop.time()
        if (refusal := self.body.begin(opened, raw.length, stream, cost=cost, now=now)) is not None:
            self.refuse(*refusal)
            return
        self._owes_continue = raw.expects_continue
        self._owner.happen(Http1ConnectionEvent.HEADERS_ACCEPTED)
        if stream is not None:
            self.requests.submit(head, raw, stream, self.body.hand_over())

    def take_body(self, part: Buffer) -> None:
        """Take a part of the body; that of a request that was refused is dropped."""
        if self.current is not None and (refusal := self.body.add(part)) is not None:
            self.refuse(*refusal)

    def take_end(self) -> None:
        """Take the end of the request."""
        current, self.current = self.current, None
        if current is None:
            return
        if not current[1].keep_alive:
            self._owner.happen(Http1ConnectionEvent.LAST_REQUEST_READ)
        booked = self.body.hand_over()
        if (body := self.body.take()) is not None:
            self.requests.submit(*current, body, booked)

    def invite(self) -> None:
        """Send 100 Continue for the body that waits for it, when the answers before it are written."""
        current, answering = self.current, self.requests.answering
        if not self._owes_continue or current is None or self.requests.waiting:
            return
        if answering is None or answering[1] is current[1]:
            self._owes_continue = False
            if not self.body.size:
                self._writer.write((_CONTINUE,))

    def refuse(self, status: int, message: str) -> None:
        """Refuse what is being read; nothing after it can be."""
        if self.body.stream is None:
            if status == 503:
                self._context.ended.note(Ending.NO_ROOM)
            answer = self._context.refusal(self.current and self.current[0], status, message)
            self._reject(answer, has_body=True)
            return
        # It is being answered already, and gets no second answer: that one is the last.
        self._owner.happen(Http1ConnectionEvent.REQUEST_REFUSED)
        self.drop()

    def is_late(self, now: float) -> bool:
        """Whether the body that is being read comes too slowly, or takes too long."""
        body = self.body
        if self._owes_continue or self.requests.waiting.is_paused:
            # It is this side that lets it wait.
            body.progress.excuse(body.size, now)
        return body.progress.is_late(body.size, now, self._context.settings)

    def _give_up(self) -> None:
        self._context.ended.note(Ending.GIVEN_UP)
        self.refuse(408, GIVEN_UP)
        self._owner.step()

    def drop(self) -> None:
        """Forget the request that is being read."""
        self.current = None
        self.body.forget()

    def _reject(self, answer: Answer, *, has_body: bool) -> None:
        raw = self.current[1] if self.current is not None else None
        self.drop()
        if has_body:
            answer = closing(answer)
            self._owner.happen(Http1ConnectionEvent.REQUEST_REFUSED)
        self.requests.reject(raw, answer)


def request_cost(raw: Http1RequestHead) -> int:
    """Return the bytes that a request with the head ``raw`` is booked with besides its body."""
    return _REQUEST + raw.size
