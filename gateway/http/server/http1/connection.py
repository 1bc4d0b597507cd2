"""One HTTP/1.1 connection: requests in their order, answers in the same order, nothing unbounded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from gateway.core.eager import begin
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy, Head, PendingAnswer, StreamedAnswer
from gateway.http.framing.http1_server import END, Broken, End, Event, Http1Server, RequestHead
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.context import ServerContext
from gateway.http.server.http1 import phase as phases
from gateway.http.server.http1.body import LARGE, Http1Body
from gateway.http.server.http1.phase import Http1Phase
from gateway.http.server.http1.pipeline import Http1Pipeline, held
from gateway.http.server.http1.writer import Http1Writer, closing
from gateway.http.server.repeated_head import RepeatedHead

_log = logging.getLogger(__name__)

B = TypeVar("B")

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_INTERNAL: Final = "internal error"


class Http1ServerConnection(asyncio.Protocol):
    """Speaks for one peer. ``peer`` is that of ``exchange.Head``.

    One request is answered at a time; those that the peer has sent ahead wait, whole. An answer that comes
    without waiting is written together with the others that the same piece of the stream asked for.
    """

    def __init__(self, ledger: ServerContext, transport: asyncio.Transport, peer: str) -> None:
        self._ledger, self._transport, self._peer = ledger, transport, peer
        limits = ledger.settings
        self._parser = Http1Server(
            max_head_bytes=limits.max_request_headers_kb << 10, max_headers=limits.max_headers_count
        )
        self._application = ledger.application
        self._head = RepeatedHead(peer)
        self._out = Http1Writer(ledger, transport)
        self._phase = Http1Phase(ledger)
        # What is being read.
        self._current: tuple[Head, RequestHead] | None = None
        self._account = ledger.accounts.of(peer)
        self._body = Http1Body(self._account)
        self._left = self._held = 0
        self._owes_continue = False
        # Nothing more is read; of a peer that was refused, what it still sends is dropped.
        self._is_over = self._is_refused = False
        # What is being answered, and what waits behind it.
        self._serving: tuple[Head, RequestHead] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._waiting = Http1Pipeline(ledger, transport, self._account)

    def __repr__(self) -> str:
        return f"<Http1ServerConnection {self._phase.name}, {len(self._waiting)} waiting>"

    # --- what the transport says

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, and answer what can be answered at once."""
        if self._is_over:
            return
        if self._body.is_large:
            data = self._take_large(data)
            if not data or self._is_over:
                return
        events = self._parser.feed(data)
        if len(events) == 3 and events[2] is END and self._is_at_rest:
            # One whole request and nothing else: as most pieces are.
            self._take_whole(*events)  # type: ignore[arg-type] # nothing else stands before an END
        elif events or self._parser.in_head:
            self._take_all(events)

    def eof_received(self) -> bool:
        """Take the end of the stream: a peer that stops speaking has left, as in Envoy."""
        self._phase.enter(phases.CLOSING)
        self._out.leave()
        self._is_over = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel what is under way: nobody waits for it."""
        self._is_over = self._out.is_closing = True
        self._drop()
        self._ledger.leave(self)
        if self._task is not None:
            self._task.cancel()
        self._out.resume()

    def pause_writing(self) -> None:
        """Note that the peer reads too slowly."""
        self._out.pause()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._out.resume()
        self._advance()

    # --- what the ledger says

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        phase = self._phase
        if self._out.progress.is_stuck(now):
            self.abort()
        elif not phase.is_overdue(now, self._body.size):
            return
        elif phase.name is phases.BODY or (phase.name is phases.HEAD and self._parser.in_head):
            self._refuse(408, f"the {'body' if phase.name is phases.BODY else 'headers'} took too long")
            self._settle()
        else:
            self._close()

    def drain(self) -> None:
        """Answer what comes, with word that this is the end; a peer that says nothing is left soon."""
        if self._phase.name in (phases.IDLE, phases.HEAD):
            # Its next request may be on its way already: to close now would be to lose that.
            self._phase.begin(self._phase.name)

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    def _take_all(self, events: list[Event]) -> None:
        self._left = len(events)
        for event in events:
            self._left -= 1
            self._take(event)
            if self._is_over or self._out.is_closing:
                break
        self._left = 0
        self._settle()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestHead):
            head = self._head.of(event)
            self._take_head(head, event, self._application.open(head))
        elif isinstance(event, End):
            self._take_end()
        elif isinstance(event, Broken):
            self._refuse(event.status, event.message)
        else:
            self._take_body(event)

    @property
    def _is_at_rest(self) -> bool:
        """Whether nothing is under way, so that a request can be answered where it stands."""
        is_busy = self._serving or self._current or self._waiting
        return not (is_busy or self._out.is_paused or self._out.is_closing)

    def _take_whole(self, raw: RequestHead, body: Buffer, _end: End) -> None:
        """Take a request with nothing before or behind it; when its answer needs no wait, in one write."""
        head, size = self._head.of(raw), len(body)
        opened = self._application.open(head)
        if (
            type(opened) is not BodyPolicy
            or opened.is_stream
            or size > opened.max_bytes
            or not self._account.has_room(size, opened.max_bytes)
        ):
            self._take_head(head, raw, opened)
            self._take_body(body)
            self._take_end()
        elif type(answered := self._begin(self._application.answer, head, body)) is Answer:
            self._out.reply(raw, answered)
            self._out.flush_soon()
            self._phase.begin(phases.IDLE)
            if not (self._out.is_closing or self._parser.in_head):
                return
        else:
            self._account.hold(size)
            self._follow((head, raw), size, answered)
        self._settle()

    def _take_head(self, head: Head, raw: RequestHead, opened: BodyPolicy | Answer) -> None:
        self._current = (head, raw)
        if isinstance(opened, Answer):
            # A short body is read and dropped, and the connection lives on. One that waits for our word to
            # be sent may never come.
            lives_on = raw.keep_alive and not raw.expects_continue
            is_short = raw.length is not None and raw.length <= LARGE and (lives_on or not raw.length)
            self._reject(opened, has_body=not is_short)
            return
        stream = BodyStream(self._waiting.flow) if opened.is_stream else None
        if (refusal := self._body.begin(opened, raw.length, stream)) is not None:
            self._refuse(*refusal)
            return
        self._phase.begin(phases.BODY)
        self._owes_continue = raw.expects_continue
        self._invite()
        if stream is not None:
            self._submit(head, raw, stream)

    def _invite(self) -> None:
        """Ask for the body that waits to be asked for, when the answers before it are written."""
        current, serving = self._current, self._serving
        if not self._owes_continue or current is None or self._waiting:
            return
        if serving is None or serving[1] is current[1]:
            self._owes_continue = False
            if not self._body.size:
                self._out.write((_CONTINUE,))

    def _take_body(self, part: Buffer) -> None:
        # The body of a request that was refused is read and dropped.
        if self._current is not None and (refusal := self._body.add(part)) is not None:
            self._refuse(*refusal)

    def _take_large(self, data: bytes) -> bytes:
        """Take a piece of a large body; return what comes after it."""
        rest = self._body.fill(data)
        if rest is None:
            return b""
        if isinstance(rest, bytes):
            self._parser.skip_body()
            self._take_end()
        else:
            self._refuse(*rest)
            rest = b""
        self._settle()
        return rest

    def _take_end(self) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        # A client that has said that it was its last request is not heard any more.
        self._is_over = not current[1].keep_alive
        if (body := self._body.take()) is not None:
            self._submit(*current, body)

    def _refuse(self, status: int, message: str) -> None:
        """Refuse what is being read; nothing after it can be."""
        if self._body.stream is not None:
            # It is being answered already, and gets no second answer: that one is the last.
            self._is_over = self._is_refused = True
            self._current = None
            self._body.forget()
        else:
            answer = self._ledger.refusal(self._current and self._current[0], status, message)
            self._reject(answer, has_body=True)

    def _reject(self, answer: Answer, *, has_body: bool) -> None:
        current, self._current = self._current, None
        self._body.forget()
        if has_body:
            answer = closing(answer)
            self._is_over = self._is_refused = True
        if self._serving is not None or self._waiting:
            self._waiting.add((None, current[1] if current else None, answer))
        else:
            self._out.reply(current[1] if current else None, answer, has_more=self._has_more)

    def _submit(self, head: Head, raw: RequestHead, body: Buffer | BodyStream) -> None:
        if self._serving is not None or self._waiting or self._out.is_paused:
            self._waiting.add((head, raw, body))
        else:
            self._serve(head, raw, body)

    def _serve(self, head: Head, raw: RequestHead, body: Buffer | BodyStream) -> None:
        # The bytes of the body are in the books already.
        if isinstance(body, BodyStream):
            answered = self._begin(self._application.answer_stream, head, body)
        else:
            answered = self._begin(self._application.answer, head, body)
        self._follow((head, raw), held(body), answered)

    def _begin(
        self, answer: Callable[[Head, B], AnyAnswer | PendingAnswer], head: Head, body: B
    ) -> AnyAnswer | asyncio.Task[AnyAnswer]:
        try:
            return begin(answer(head, body), self._ledger.loop, self._done)
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - whatever it is, the client gets an answer
            # Nobody had the call yet who could have cancelled it: it met a cancellation not meant for it.
            _log.exception("an HTTP request failed outside of its application")
            return self._ledger.refusal(head, 500, _INTERNAL)

    def _follow(
        self, request: tuple[Head, RequestHead], size: int, answered: AnyAnswer | asyncio.Task[AnyAnswer]
    ) -> None:
        self._ledger.running += 1
        self._serving, self._held = request, size
        if isinstance(answered, asyncio.Task):
            self._task = answered
        else:
            self._finish(request[1], answered)

    def _done(self, task: asyncio.Task[AnyAnswer]) -> None:
        self._task = None
        serving = self._serving
        assert serving is not None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not (task.cancelled() and self._transport.is_closing()):
            _log.error("an HTTP request failed outside of its application", exc_info=error)
        if self._transport.is_closing():
            if error is None:
                self._ledger.discard(task.result())
            self._end_serving()
            self.abort()
            return
        answer = task.result() if error is None else self._ledger.refusal(serving[0], 500, _INTERNAL)
        self._finish(serving[1], answer)
        self._advance()

    def _finish(self, raw: RequestHead, answer: AnyAnswer) -> None:
        if isinstance(answer, Answer):
            self._end_serving()
            self._out.reply(raw, answer, has_more=self._has_more)
        else:
            streaming = self._out.stream(raw, answer, has_more=self._has_more)
            self._task = self._ledger.loop.create_task(streaming)
            self._task.add_done_callback(partial(self._pumped, answer))

    @property
    def _has_more(self) -> bool:
        """Whether requests behind the one that is answered are under way: a drain does not lose them."""
        return bool(self._waiting or self._current is not None or self._left)

    def _pumped(self, answer: StreamedAnswer, task: asyncio.Task[None]) -> None:
        self._task = None
        self._ledger.discard(answer)
        self._end_serving()
        if task.cancelled():
            self.abort()
        elif (error := task.exception()) is not None:
            # The head said 200 long ago: only a broken body tells the client now.
            _log.error("a streamed answer failed", exc_info=error)
            self.abort()
        elif not self._transport.is_closing():
            self._advance()

    def _end_serving(self) -> None:
        self._serving = None
        self._ledger.running -= 1
        self._account.give(self._held)
        self._held = 0

    def _advance(self) -> None:
        """Serve those that wait, as long as each is answered at once."""
        out = self._out
        while self._waiting and self._serving is None and not (out.is_paused or out.is_closing):
            waiting = self._waiting.take()
            if waiting[0] is None:
                self._out.reply(waiting[1], waiting[2], has_more=self._has_more)
            else:
                self._serve(*waiting)
        self._settle()

    # --- the connection

    def _settle(self) -> None:
        """Write what there is to write, and find out what is waited for now."""
        if self._phase.name is phases.LINGERING or self._phase.name is phases.CLOSING:
            return
        self._invite()
        self._out.flush_soon()
        is_busy = self._serving is not None
        if not is_busy and (self._out.is_closing or (self._is_over and not self._waiting)):
            self._out.flush()
            self._end()
        elif self._current is not None:
            self._phase.enter(phases.BODY)
        elif is_busy or self._waiting:
            self._phase.enter(phases.HEAD if self._parser.in_head and not self._is_over else phases.SERVING)
        else:
            self._phase.enter(phases.HEAD if self._parser.in_head else phases.IDLE)

    def _end(self) -> None:
        """End after the last answer; what waits behind it is not answered any more."""
        lingers = self._is_refused or self._has_more
        self._is_over = True
        self._drop()
        if not lingers:
            self._close()
        elif not self._transport.is_closing():
            # Closed with bytes of the peer's unread, the kernel would take back what the peer has not read.
            self._phase.enter(phases.LINGERING)
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def _close(self) -> None:
        self._phase.enter(phases.CLOSING)
        self._out.leave()
        self._transport.close()

    def _drop(self) -> None:
        """Forget everything that has come and is not being answered."""
        self._current = None
        self._body.forget()
        self._waiting.clear()
