"""One HTTP/1.1 connection: requests in their order, answers in the same order, nothing unbounded.

``state.decide`` decides what is done, and the connection does it. ``Http1Reader`` has the request that is
being read, ``Http1Requests`` those that are answered or wait for it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.core.eager import begin
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy
from gateway.http.framing.http1_server import END, FEW, Http1RequestHead, RequestEnd
from gateway.http.server.address_limits import Booked
from gateway.http.server.context import ServerContext
from gateway.http.server.ended_peers import Ending
from gateway.http.server.http1.reader import Http1Reader, request_cost
from gateway.http.server.http1.requests import Http1Requests
from gateway.http.server.http1.state import (
    AT_REST,
    NEW,
    Http1Command,
    Http1ConnectionEvent,
    Http1Phase,
    Reading,
    Work,
    decide,
    is_overdue,
)
from gateway.http.server.http1.writer import Http1Writer
from gateway.http.server.registry import Connection
from gateway.http.server.unread_answers import UnreadAnswers

_HEADERS_LATE: Final = "the headers took too long"
_BODY_LATE: Final = "the body took too long"
_OPEN: Final = Reading.OPEN
_WAITING: Final = frozenset({Http1Phase.IDLE, Http1Phase.HEADERS})

MAX_DROPPED: Final = 64 << 20
"""Bytes that are read after a refusal and dropped, within ``lingering_s``: a client that sends all of its
body before it reads, as most do, would else see a reset instead of the answer. Dropping costs less than
parsing."""


TURN_BYTES: Final = 1 << 20
"""Bytes of a large body after which others have a turn."""


class Http1ServerConnection(asyncio.Protocol):
    """One client's connection. ``peer`` is that of ``exchange.Head``.

    One request is answered at a time; those that the peer has sent ahead wait, whole. An answer that comes
    without waiting is written together with the others to requests in the same piece of the stream.
    """

    def __init__(self, context: ServerContext, transport: asyncio.Transport, peer: str) -> None:
        self._context, self._transport = context, transport
        self._application = context.application
        self._booking = context.address_limits.of(peer).booking()
        usage = self._booking.address
        self._writer = Http1Writer(context, transport)
        self._requests = Http1Requests(context, transport, self._writer, usage, self)
        self._reader = reader = Http1Reader(
            context, self._booking, self._writer, self._requests, self, peer=peer
        )
        self._unread = UnreadAnswers(lambda: self._booking)
        self._parser, self._body, self._head = reader.parser, reader.body, reader.head
        self.state = NEW
        self._since = context.loop.time()
        self._dropped = 0
        self._rest, self._rests_at, self._is_working = b"", 0, False
        self._in_turn = 0

    def __repr__(self) -> str:
        return f"<Http1ServerConnection {self.state.phase.value}, {len(self._requests.waiting)} waiting>"

    # --- what the transport calls

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, and answer what can be answered at once; of much, a portion."""
        if self._rest:
            # Reading is paused, but TLS has some of it decrypted already.
            self._rest += data
        elif len(data) <= FEW or self._body.is_large or self.state.reading is not _OPEN:
            self._take(data)
        else:
            self._begin_turns(data)

    def _begin_turns(self, data: bytes) -> None:
        self._rest, self._rests_at = data, 0
        self._context.turns.begin(self)

    def _take(self, data: bytes) -> None:
        if self.state.reading is not _OPEN:
            self._drop(len(data))
            return
        if self._body.is_large:
            self._yield_after(len(data))
            data = self._reader.take_large(data)
            if not data or not self.is_reading:
                return
            if len(data) > FEW:
                self._begin_turns(data)
                return
        events = self._parser.feed(data)
        if len(events) == 3 and events[2] is END and self._is_at_rest:
            # One whole request and nothing else: as most pieces are.
            self._take_whole(*events)  # type: ignore[arg-type] # nothing else stands before an END
        elif events or self._parser.in_head:
            self._reader.take_all(events)

    def _yield_after(self, size: int) -> None:
        """Let others have a turn when so much of a body has come that it may have been in one turn.

        uvloop reads up to 32 pieces of 256 KiB from one socket before it looks at the next.
        """
        self._in_turn += size
        if self._in_turn >= TURN_BYTES:
            self._in_turn = 0
            self._requests.waiting.lag(True)
            self._context.loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self._requests.waiting.lag(bool(self._rest))

    def work(self, until: float) -> bool:
        """Take a portion of what has come, and more until the time ``until``; return whether some is left."""
        tick, self._is_working = self._context.tick, True
        while self._rest and not self._transport.is_closing():
            begins, rest = self._rests_at, self._rest
            if self.state.reading is not _OPEN:
                ends = len(rest)
            else:
                ends = min(len(rest), self._reader.cut(rest, begins))
            self._rests_at = ends
            if ends == len(rest):
                self._rest = b""
            self._take(rest[begins:ends])
            if tick() >= until:
                break
        self._is_working = False
        self._writer.flush_soon()
        self._requests.waiting.lag(bool(self._rest))
        return bool(self._rest) and not self._transport.is_closing()

    def _drop(self, size: int) -> None:
        """Drop what comes after a refusal, up to a bound; the rest is not read."""
        self._dropped += size
        if self._dropped > MAX_DROPPED and self.state.reading is Reading.REFUSED:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Take the end of the stream."""
        self.happen(Http1ConnectionEvent.PEER_ENDED)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel everything: no answer can be sent any more."""
        self._writer.is_closing, self._rest = True, b""
        self.happen(Http1ConnectionEvent.CONNECTION_LOST)
        self._context.registry.remove(self)
        self._writer.resume()
        self._unread.book(0)

    def pause_writing(self) -> None:
        """Note that the peer reads too slowly."""
        self._writer.pause()
        self._book_unread()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._writer.resume()
        self._requests.advance()

    # --- what the registry calls

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        is_draining, settings = self._context.drain.is_active, self._context.settings
        self._book_unread()
        if self._writer.progress.is_stuck(now):
            self._context.ended.note(Ending.SLOW_READER)
            self.abort()
        elif self._requests.is_idle(now, self._body.size):
            self._context.ended.note(Ending.IDLE_STREAM)
            self.abort()
        elif is_overdue(self.state.phase, now - self._since, settings, is_draining=is_draining) or (
            self.state.phase is Http1Phase.BODY and self._reader.is_late(now)
        ):
            self.happen(Http1ConnectionEvent.OVERDUE)

    def drain(self) -> None:
        """Answer what comes, with ``connection: close``; a peer that sends nothing is left soon."""
        self.happen(Http1ConnectionEvent.DRAIN_BEGAN)

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def give_way(self) -> bool:
        """Close the connection if it waits for a request."""
        is_idle = self.state.phase in _WAITING and not self._rest
        if is_idle:
            self.abort()
        return is_idle

    def _book_unread(self) -> None:
        """Book what waits on this connection, and end it where there is no room for that."""
        if not self._unread.book(self._transport.get_write_buffer_size() + self._parser.head_bytes):
            self._context.ended.note(Ending.UNREAD)
            self.abort()

    # --- requests

    @property
    def _is_at_rest(self) -> bool:
        """Whether nothing is under way, so that a request can be answered where it stands."""
        requests, writer = self._requests, self._writer
        is_busy = requests.answering or self._reader.current or requests.waiting
        return not (is_busy or self._rest or writer.is_paused or writer.is_closing)

    def _take_whole(self, raw: Http1RequestHead, body: Buffer, _end: RequestEnd) -> None:
        """Take a request with nothing before or behind it; when its answer needs no wait, in one write."""
        head, size = self._head.of(raw), len(body)
        opened = self._application.open(head)
        if (
            type(opened) is not BodyPolicy
            or opened.is_stream
            or size > opened.max_bytes
            or not (booking := self._booking.under(opened.holder)).has_room(size, opened.max_bytes)
        ):
            self._reader.take_head(head, raw, opened)
            self._reader.take_body(body)
            self._reader.take_end()
            self.step()
            return
        self._booking, requests, loop = booking, self._requests, self._context.loop
        answered: AnyAnswer | asyncio.Task[AnyAnswer]
        try:
            answered = begin(self._application.answer(head, body), loop, requests.done)
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - whatever it is, the client gets an answer
            answered = requests.failed(head)
        if type(answered) is Answer:
            self._writer.reply(raw, answered)
            self._writer.flush_soon()
            self.state, self._since = AT_REST, loop.time()
            if not (self._writer.is_closing or self._parser.in_head):
                return
        else:
            cost = request_cost(raw)
            booking.hold(size)
            booking.charge(cost)
            requests.follow((head, raw), Booked(booking, size, cost), answered)
        self.step()

    @property
    def is_reading(self) -> bool:
        """Whether more requests are read."""
        return self.state.reading is _OPEN

    @property
    def has_unread(self) -> bool:
        """Whether a request is being read, or came together with those that were."""
        return bool(self._rest) or self._reader.has_unread

    # --- the state

    def step(self) -> None:
        """Write what there is to write, and find out what is waited for now."""
        self.happen(Http1ConnectionEvent.STEP_DONE)

    def happen(self, event: Http1ConnectionEvent) -> None:
        """Change to the state after ``event``, and carry out the commands that belong to it."""
        work = Work(
            self._parser.in_head,
            self._reader.current is not None,
            self._requests.answering is not None,
            bool(self._requests.waiting),
            self._writer.is_closing,
        )
        before = self.state
        self.state, commands = decide(before, event, work)
        if self.state.phase is not before.phase:
            self._since = self._context.loop.time()
        for command in commands:
            self._do(command)

    def _do(self, command: Http1Command) -> None:  # noqa: C901 - one line for each command
        match command:
            case Http1Command.INVITE_BODY:
                self._reader.invite()
            case Http1Command.FLUSH_SOON:
                self._flush_soon()
            case Http1Command.FLUSH:
                self._writer.flush()
            case Http1Command.RESTART_TIMER:
                self._since = self._context.loop.time()
            case Http1Command.REFUSE_HEADERS:
                self._refuse_late(_HEADERS_LATE)
            case Http1Command.REFUSE_BODY:
                self._context.ended.note(Ending.SLOW_BODY)
                self._refuse_late(_BODY_LATE)
            case Http1Command.DROP_REQUESTS:
                self._reader.drop()
                self._requests.waiting.clear()
            case Http1Command.CANCEL_ANSWER:
                self._requests.cancel()
            case Http1Command.WATCH_WRITING:
                self._writer.leave()
            case Http1Command.CLOSE:
                self._transport.close()
            case Http1Command.END_WRITING:
                if not self._transport.is_closing() and self._transport.can_write_eof():
                    self._transport.write_eof()

    def _flush_soon(self) -> None:
        if not self._is_working:
            self._writer.flush_soon()

    def _refuse_late(self, message: str) -> None:
        self._reader.refuse(408, message)
        self.step()


_: type[Connection] = Http1ServerConnection
