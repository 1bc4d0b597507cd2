"""One HTTP/1.1 connection: requests in their order, answers in the same order, nothing unbounded."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import Any, Final

from gateway.core.stepping import begin
from gateway.core.tensor import Buffer
from gateway.listeners.exchange import Answer, Head, Intake
from gateway.listeners.transport.http1_body import LARGE, Http1Body
from gateway.listeners.transport.http1_out import Http1Output, closing
from gateway.listeners.transport.ledger import Connection, Ledger
from gateway.listeners.transport.streams import BodyStream
from gateway.wire.framing.http1_server import END, Broken, End, Event, Http1Server, RequestHead

_log = logging.getLogger(__name__)

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_INTERNAL: Final = "internal error"

DRAIN_SILENCE_S: Final = 1.0
"""A connection without a request is closed this long after the drain began."""

_HEAD, _IDLE, _BODY, _SERVING, _LINGERING = "head", "idle", "body", "serving", "lingering"

_Request = tuple[Head, RequestHead, Buffer | BodyStream]
_Refused = tuple[None, RequestHead | None, Answer]


class Http1Connection(asyncio.Protocol):
    """Speaks for one peer. ``peer`` and ``identity`` are those of ``exchange.Head``.

    One request is answered at a time; those that the peer has sent ahead wait, whole. An answer that comes
    without waiting is written together with the others that the same piece of the stream asked for.
    """

    def __init__(self, ledger: Ledger, transport: asyncio.Transport, peer: str, identity: str) -> None:
        self._ledger, self._transport, self._peer, self._identity = ledger, transport, peer, identity
        self._parser = self._new_parser()
        self._application = ledger.application
        self._heads: tuple[RequestHead | None, Head | None] = (None, None)
        self._current: tuple[Head, RequestHead] | None = None
        self._body = Http1Body(ledger)
        self._held = 0
        self._waiting: deque[_Request | _Refused] = deque()
        self._task: asyncio.Task[Any] | None = None
        self._serving: tuple[Head, RequestHead] | None = None
        self._out = Http1Output(ledger, transport)
        self._reads_paused = False
        self._phase, self._since = _HEAD, ledger.loop.time()

    def __repr__(self) -> str:
        return f"<Http1Connection {self._phase}, {len(self._waiting)} waiting>"

    # --- what the transport says

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, and answer what can be answered at once."""
        if self._phase is _LINGERING:
            return
        if self._body.is_large:
            data = self._take_large(data)
            if not data:
                return
        events = self._parser.feed(data)
        if len(events) == 3 and events[2] is END and self._is_at_rest:
            # One whole request and nothing else: as most pieces are.
            self._take_whole(*events)  # type: ignore[arg-type] # nothing else stands before an END
            return
        for event in events:
            self._take(event)
            if self._phase is _LINGERING:
                break
        self._flush()
        if self._parser.in_head and self._phase is not _HEAD and self._current is None:
            self._enter(_HEAD)

    def eof_received(self) -> bool:
        """Take the end of the stream: a peer that stops speaking has left, as in Envoy."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel what is under way: nobody waits for it."""
        self._out.is_closing = True
        self._ledger.leave(self)
        self._body.forget()
        self._ledger.running -= len(self._waiting)
        for waiting in self._waiting:
            if waiting[0] is not None:
                self._release(waiting[2])
        self._waiting.clear()
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
        settings, elapsed_s = self._ledger.settings, now - self._since
        if now - self._out.paused_since > settings.write_timeout_s:
            self.abort()
        elif self._phase is _HEAD and elapsed_s > settings.request_headers_timeout_s:
            if self._parser.in_head:
                self._refuse(None, 408, "the headers took too long")
            else:
                self._transport.close()
        elif self._phase is _BODY:
            # The first seconds may be slow; over the rest the average counts.
            least = settings.min_body_bytes_per_s * (elapsed_s - settings.body_timeout_s / 2)
            if elapsed_s > settings.body_timeout_s and self._body.size < least:
                self._refuse(self._current and self._current[0], 408, "the body took too long")
        elif elapsed_s > self._patience_s():
            self._transport.close()

    def _patience_s(self) -> float:
        """Return the seconds that the connection may last when nothing is under way on it."""
        settings = self._ledger.settings
        if self._phase is _LINGERING:
            return settings.lingering_s
        if self._phase is _IDLE:
            return DRAIN_SILENCE_S if self._ledger.is_draining else settings.idle_timeout_s
        return math.inf

    def drain(self) -> None:
        """Answer what comes, with word that this is the end; a peer that says nothing is left soon."""
        if self._phase is _IDLE:
            # Its next request may be on its way already: to close now would be to lose that.
            self._since = self._ledger.loop.time()

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    # --- requests

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestHead):
            self._take_head(event)
        elif isinstance(event, End):
            self._take_end()
        elif isinstance(event, Broken):
            self._refuse(self._current[0] if self._current else None, event.status, event.message)
        else:
            self._take_body(event)

    @property
    def _is_at_rest(self) -> bool:
        """Whether nothing is under way, so that a request can be answered where it stands."""
        return (
            self._serving is None
            and self._current is None
            and not (self._waiting or self._out.is_paused or self._out.is_closing)
        )

    def _take_whole(self, raw: RequestHead, body: Buffer, _end: End) -> None:
        head = self._head_of(raw)
        opened = self._application.open(head)
        if type(opened) is Intake and not opened.is_stream and len(body) <= opened.max_bytes:
            self._answer_whole(head, raw, body)
            return
        # Not as most are: the long way.
        self._take_head(raw)
        self._take_body(body)
        self._take_end()
        self._flush()

    def _answer_whole(self, head: Head, raw: RequestHead, body: Buffer) -> None:
        """Answer a request with nothing before or behind it; when that needs no wait, in one write."""
        ledger = self._ledger
        try:
            answered = begin(self._application.answer(head, body), ledger.loop, self._done)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.exception("an HTTP request failed outside of its application")
            answered = self._ledger.refusal(head, 500, _INTERNAL)
        if isinstance(answered, Answer) and isinstance(answered.body, tuple | list):
            self._enter(_IDLE)
            self._out.reply(raw, answered)
            self._flush()
            return
        self._phase, self._serving, self._held = _SERVING, (head, raw), len(body)
        ledger.running += 1
        ledger.buffered += len(body)
        if isinstance(answered, Answer):
            self._finish(raw, answered)
        else:
            self._task = answered

    def _new_parser(self) -> Http1Server:
        settings = self._ledger.settings
        return Http1Server(
            max_head_bytes=settings.max_request_headers_kb << 10, max_headers=settings.max_headers_count
        )

    def _head_of(self, raw: RequestHead) -> Head:
        known, head = self._heads
        if raw is not known or head is None:
            # The same head again is the same object, and so is what was made of it.
            head = Head(raw.method, raw.path, raw.headers, self._peer, self._identity)
            self._heads = (raw, head)
        return head

    def _take_head(self, raw: RequestHead) -> None:
        head = self._head_of(raw)
        self._current = (head, raw)
        opened = self._application.open(head)
        if isinstance(opened, Answer):
            # A short body is read and dropped, and the connection lives on. One that waits for our word to
            # be sent may never come.
            is_short = raw.length is not None and raw.length <= LARGE and not raw.expects_continue
            self._reject(opened, has_body=not is_short)
            return
        stream = BodyStream(self._flow) if opened.is_stream else None
        if (refusal := self._body.begin(opened, raw.length, stream)) is not None:
            self._refuse(head, *refusal)
            return
        if raw.expects_continue and self._serving is None and not self._waiting:
            self._out.write((_CONTINUE,))
        if stream is not None:
            self._submit(head, raw, stream)
        self._enter(_BODY)

    def _take_body(self, part: Buffer) -> None:
        # The body of a request that was refused is read and dropped.
        if self._current is not None and (refusal := self._body.add(part)) is not None:
            self._refuse(self._current[0], *refusal)

    def _take_large(self, data: bytes) -> bytes:
        """Take a piece of a large body; return what comes after it."""
        rest = self._body.fill(data)
        if rest is None:
            return b""
        # The old parser still waits for the body that it was not shown.
        self._parser = self._new_parser()
        self._take_end()
        self._flush()
        return rest

    def _take_end(self) -> None:
        current, self._current = self._current, None
        if current is not None and (body := self._body.take()) is not None:
            self._submit(*current, body)

    def _refuse(self, head: Head | None, status: int, message: str) -> None:
        """Refuse what is being read; nothing after it can be."""
        self._reject(self._ledger.refusal(head, status, message), has_body=True)

    def _reject(self, answer: Answer, *, has_body: bool) -> None:
        current, self._current = self._current, None
        self._body.forget()
        if has_body:
            answer = closing(answer)
            self._enter(_LINGERING)
        else:
            self._enter_next()
        if self._serving is not None or self._waiting:
            self._ledger.running += 1
            self._waiting.append((None, current[1] if current else None, answer))
        else:
            self._out.reply(current[1] if current else None, answer)
            self._flush()

    def _release(self, body: Buffer | BodyStream) -> None:
        if not isinstance(body, BodyStream):
            self._ledger.buffered -= len(body)

    def _submit(self, head: Head, raw: RequestHead, body: Buffer | BodyStream) -> None:
        self._ledger.running += 1
        if self._serving is not None or self._waiting or self._out.is_paused:
            self._waiting.append((head, raw, body))
            if len(self._waiting) >= self._ledger.settings.max_pipelined:
                self._hold_reading()
        else:
            self._serve(head, raw, body)

    def _serve(self, head: Head, raw: RequestHead, body: Buffer | BodyStream) -> None:
        self._phase = _SERVING
        self._serving = (head, raw)
        self._held = 0 if isinstance(body, BodyStream) else len(body)
        try:
            answered = begin(self._application.answer(head, body), self._ledger.loop, self._done)
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.exception("an HTTP request failed outside of its application")
            answered = self._ledger.refusal(head, 500, _INTERNAL)
        if isinstance(answered, Answer):
            self._finish(raw, answered)
        else:
            self._task = answered

    def _done(self, task: asyncio.Task[Answer]) -> None:
        self._task = None
        serving = self._serving
        assert serving is not None
        if self._transport.is_closing() or task.cancelled():
            self._end_serving()
            if not task.cancelled() and task.exception() is not None:
                _log.error("an HTTP request failed after its client left", exc_info=task.exception())
            return
        if (error := task.exception()) is not None:
            _log.error("an HTTP request failed outside of its application", exc_info=error)
            answer = self._ledger.refusal(serving[0], 500, _INTERNAL)
        else:
            answer = task.result()
        self._finish(serving[1], answer)
        self._flush()
        self._advance()

    def _finish(self, raw: RequestHead, answer: Answer) -> None:
        if isinstance(answer.body, tuple | list):
            self._end_serving()
            self._out.reply(raw, answer)
            if not self._waiting:
                self._enter_next()
        else:
            self._task = self._ledger.loop.create_task(self._out.stream(raw, answer, answer.body))
            self._task.add_done_callback(self._pumped)

    def _end_serving(self) -> None:
        self._serving = None
        self._ledger.running -= 1
        self._ledger.buffered -= self._held
        self._held = 0

    def _enter_next(self) -> None:
        if self._phase is not _LINGERING:
            self._enter(_BODY if self._current is not None else _HEAD if self._parser.in_head else _IDLE)

    def _advance(self) -> None:
        """Serve those that wait, as long as each is answered at once."""
        while (
            self._waiting and self._serving is None and not self._out.is_paused and not self._out.is_closing
        ):
            waiting = self._waiting.popleft()
            if waiting[0] is None:
                self._ledger.running -= 1
                self._out.reply(waiting[1], waiting[2])
            else:
                self._serve(*waiting)
        self._flush()
        if self._reads_paused and len(self._waiting) < self._ledger.settings.max_pipelined:
            self._reads_paused = False
            self._transport.resume_reading()

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._since = self._ledger.loop.time()

    def _hold_reading(self) -> None:
        if not self._reads_paused:
            self._reads_paused = True
            self._transport.pause_reading()

    def _flow(self, flows: bool) -> None:  # noqa: FBT001 - what BodyStream calls
        """Let a streamed body come, or not, as its reader keeps up."""
        if self._out.is_closing:
            return
        if flows:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    # --- answers

    def _pumped(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._end_serving()
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            # The head said 200 long ago: only a broken body tells the client now.
            _log.error("a streamed answer failed", exc_info=error)
            self.abort()
            return
        self._flush()
        if not self._waiting:
            self._enter_next()
        self._advance()

    def _flush(self) -> None:
        self._out.flush()
        if self._out.is_closing and self._serving is None and not self._waiting:
            if self._phase is not _LINGERING:
                self._transport.close()
            elif self._transport.can_write_eof() and not self._transport.is_closing():
                self._transport.write_eof()


_: type[Connection] = Http1Connection
