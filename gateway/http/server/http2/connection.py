"""One HTTP/2 connection: many requests at once, each in a stream of its own."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from gateway.core.eager import begin
from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy, Head, PendingAnswer, StreamedAnswer
from gateway.http.framing import http2_server as framing
from gateway.http.framing.http2_server import Http2Server
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.context import Connection, ServerContext
from gateway.http.server.http1.phase import DRAIN_SILENCE_S
from gateway.http.server.http2.stream import Http2Stream
from gateway.http.server.http2.writer import Http2Writer
from gateway.http.server.repeated_head import RepeatedHead

_log = logging.getLogger(__name__)

B = TypeVar("B")

LAST_WORD_S: Final = 0.5
"""Seconds between the word that a connection ends and the last stream that it takes: a round trip fits."""


class Http2ServerConnection(asyncio.Protocol):
    """Speaks for one peer. ``peer`` is that of ``exchange.Head``."""

    def __init__(self, ledger: ServerContext, transport: asyncio.Transport, peer: str) -> None:
        self._ledger, self._transport, self._peer = ledger, transport, peer
        settings = ledger.settings
        self._application = ledger.application
        self._engine = Http2Server(
            max_streams=settings.max_concurrent_streams,
            stream_window_bytes=settings.initial_stream_window_kib << 10,
            connection_window_bytes=settings.initial_connection_window_kib << 10,
            max_head_bytes=settings.max_request_headers_kb << 10,
            max_headers=settings.max_headers_count,
            max_continuations=settings.max_continuations,
            max_resets_per_s=settings.max_resets_per_s,
        )
        self._account = ledger.accounts.of(peer)
        self._window = settings.initial_stream_window_kib << 10
        # Bytes of whole bodies that are being answered, and windows that open when that is done.
        self._answering = 0
        self._owed: dict[int, int] = {}
        self._streams: dict[int, Http2Stream] = {}
        self._head = RepeatedHead(peer, is_http2=True)
        self._out = Http2Writer(ledger, transport, self._engine)
        self._is_leaving = self._has_said_last = False
        self._left_at = 0.0
        self._since = self._heard = ledger.loop.time()
        self._within = math.inf
        self._is_asked = False

    def __repr__(self) -> str:
        state = "leaving" if self._is_leaving else "open"
        return f"<Http2ServerConnection {state}, {len(self._streams)} streams>"

    # --- what the transport says

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, and answer what can be answered at once."""
        try:
            events = self._engine.feed(data)
        except framing.FramingError:
            self._out.fail()
            return
        if events:
            # Only streams count as life: pings, and heads that never end, do not.
            self._since = self._ledger.loop.time()
        self._out.is_held = True
        try:
            for event in events:
                kind = type(event)
                if kind is framing.Data:
                    self._take_data(event)  # type: ignore[arg-type] # its type is what was just looked at
                elif kind is framing.Request:
                    self._take_request(event)  # type: ignore[arg-type] # likewise
                elif kind is framing.Complete:
                    self._take_end(event.stream)
                elif kind is framing.TooLarge:
                    self._take_too_large(event)  # type: ignore[arg-type] # likewise
                else:
                    self._take_closed(event)  # type: ignore[arg-type] # likewise
        finally:
            self._out.is_held = False
        self._out.flush_soon()

    def eof_received(self) -> bool:
        """Take the end of the stream: the peer has left."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel what is under way: nobody waits for it."""
        self._ledger.leave(self)
        for number in list(self._streams):
            self._drop(number)

    def pause_writing(self) -> None:
        """Note that the peer reads too slowly."""
        self._out.pause()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._out.resume()

    # --- what the ledger says

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        settings = self._ledger.settings
        if self._transport.is_closing():
            # A peer that does not read would keep what is left of this connection for ever.
            self._out.leave()
        if self._out.progress.is_stuck(now):
            self.abort()
        if self._transport.is_closing():
            return
        if self._out.unsent:
            for number in self._out.unsent.stuck(now, settings):
                self._cut(number, framing.CANCEL)
            self._out.flush()
        if not (self._streams or self._out.unsent or self._out.is_paused):
            self._sweep_idle(now)
            return
        self._since = now
        if self._is_leaving and not self._has_said_last and now - self._left_at > LAST_WORD_S:
            # What crossed with the first word has come by now. What comes after this is not answered.
            self._has_said_last = True
            self._engine.end()
            self._leave_streams()
        for number, stream in list(self._streams.items()):
            if stream.is_slow(now, settings.body_timeout_s, settings.min_body_bytes_per_s):
                self._give_up(number, stream, 408, "the body took too long")
        self._sweep_silent(now)
        self._out.flush()

    def _sweep_silent(self, now: float) -> None:
        """Ask a peer that is silent beside open streams for a word: who is gone, or amid a head, has none."""
        if self._engine.has_heard:
            self._engine.has_heard = self._is_asked = False
            self._heard = now
        elif now - self._heard > self._ledger.settings.request_headers_timeout_s and not self._out.is_paused:
            if self._is_asked:
                self._end(now)
            self._engine.ping()
            self._is_asked, self._heard = True, now

    def _sweep_idle(self, now: float) -> None:
        settings, quiet_s = self._ledger.settings, now - self._since
        # The beginning of a frame was seen by the sweep after it.
        self._within = min(self._within, now) if self._engine.is_within else math.inf
        if now - self._within > settings.request_headers_timeout_s:
            self._end(now)
            return
        if self._ledger.is_draining:
            limit_s = DRAIN_SILENCE_S
        elif self._engine.has_begun:
            limit_s = settings.idle_timeout_s
        else:
            limit_s = min(settings.request_headers_timeout_s, settings.idle_timeout_s)
        if quiet_s > limit_s:
            self._end(now)

    def _end(self, now: float) -> None:
        self._engine.end()
        self._out.flush()
        self._since = now
        self._transport.close()

    def drain(self) -> None:
        """Take no more streams than have crossed with the word that this is the end."""
        if not self._is_leaving:
            self._is_leaving = True
            self._left_at = self._since = self._ledger.loop.time()
            self._engine.announce_end()
            self._leave_streams()
            self._out.flush()

    def _leave_streams(self) -> None:
        """Let conversations end after what they have begun to say: by themselves they may never end."""
        for stream in self._streams.values():
            if stream.body is not None:
                stream.body.leave()

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    # --- requests

    def _take_request(self, event: framing.Request) -> None:
        number, head = event.stream, self._head.of(event.head)
        opened = self._application.open(head)
        if isinstance(opened, Answer):
            self._answer_and_leave(number, head, opened, is_complete=event.is_complete)
        elif (event.length or 0) > opened.max_bytes:
            self._refuse(number, head, 413, _too_large(opened))
        else:
            stream = self._streams[number] = Http2Stream(head, opened, self._ledger.loop.time())
            if opened.is_stream:
                stream.body = body = BodyStream(
                    lambda _flows: None,
                    taken=partial(self._has_read, number, stream),
                    done=partial(self._has_consumed, stream),
                )
                if event.is_complete:
                    self._take_end(number)
                self._serve(number, stream, self._application.answer_stream, body)
            elif event.is_complete:
                self._take_end(number)

    def _take_data(self, event: framing.Data) -> None:
        number, data = event.stream, event.data
        stream = self._streams.get(number)
        size = len(data)
        if stream is None:
            # Refused before; the windows must go on all the same.
            self._acknowledge(number, size)
            return
        if stream.size + size > stream.intake.max_bytes:
            self._acknowledge(number, size)
            self._give_up(number, stream, 413, _too_large(stream.intake))
            return
        # They stay booked until nobody needs them: until the answer, or until a stream's reader is done.
        if not self._account.take(size, stream.intake.max_bytes if stream.body is None else self._window):
            self._acknowledge(number, size)
            self._give_up(number, stream, 503, "too many bodies are on their way; try again later")
            return
        stream.add(data)
        if stream.body is None:
            if self._answering and self._account.held > self._account.high:
                # Answers will make room; without any under way, to wait for room could be to wait for ever.
                self._owed[number] = self._owed.get(number, 0) + size
            else:
                # Bodies are bounded by their intake and their share: the windows only pace them.
                self._acknowledge(number, size)
        if event.is_complete:
            self._take_end(number)

    def _take_end(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.is_complete = True
        if stream.body is not None:
            stream.body.end()
        else:
            self._answering += stream.held
            self._serve(number, stream, self._application.answer, stream.whole())

    def _take_too_large(self, event: framing.TooLarge) -> None:
        head = self._head.of(event.head)
        answer = self._ledger.refusal(head, 431, "the headers are too large or too many")
        self._answer_and_leave(event.stream, head, answer, is_complete=event.is_complete)

    def _take_closed(self, event: framing.Closed) -> None:
        if event.stream in self._streams:
            self._drop(event.stream)

    def _release(self, number: int) -> Http2Stream | None:
        """Strike a stream out of the books; None when it is in them no more."""
        stream = self._streams.pop(number, None)
        if stream is not None and stream.held:
            self._account.give(stream.held)
            if stream.unread:
                # What nobody will read must not keep the window of all streams closed.
                self._acknowledge(number, stream.unread)
            elif stream.body is None and stream.is_complete:
                self._answering -= stream.held
            stream.held = stream.unread = 0
        if self._owed and (not self._answering or self._account.held <= self._account.high):
            owed, self._owed = self._owed, {}
            for each, size in owed.items():
                self._acknowledge(each, size)
        return stream

    def _drop(self, number: int) -> None:
        """Forget a stream; whoever still works for it is told to stop."""
        stream = self._release(number)
        if stream is None:
            return
        stream.is_closed = True
        if stream.body is not None:
            stream.body.break_off()
        if stream.task is not None:
            stream.task.cancel()

    def _cut(self, number: int, error: int) -> None:
        self._engine.reset(number, error)
        self._drop(number)

    def _give_up(self, number: int, stream: Http2Stream, status: int, message: str) -> None:
        """Refuse a body that has come in part. Of one that is being read already, only a reset can tell."""
        if stream.body is None:
            self._refuse(number, stream.head, status, message)
        else:
            self._cut(number, framing.ENHANCE_YOUR_CALM)

    def _refuse(self, number: int, head: Head, status: int, message: str) -> None:
        self._answer_and_leave(number, head, self._ledger.refusal(head, status, message), is_complete=False)

    def _answer_and_leave(self, number: int, head: Head, answer: Answer, *, is_complete: bool) -> None:
        """Answer a request whose body is not wanted."""
        self._drop(number)
        self._out.reply(number, head, answer, is_complete=is_complete)

    def _serve(
        self,
        number: int,
        stream: Http2Stream,
        answer: Callable[[Head, B], AnyAnswer | PendingAnswer],
        body: B,
    ) -> None:
        self._ledger.running += 1
        try:
            answered: AnyAnswer | asyncio.Task[AnyAnswer] = begin(
                answer(stream.head, body), self._ledger.loop, partial(self._done, number, stream)
            )
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.exception("an HTTP/2 request failed outside of its application")
            answered = self._ledger.refusal(stream.head, 500, "internal error")
        if isinstance(answered, asyncio.Task):
            stream.task = answered
        else:
            self._finish(number, stream, answered)

    def _done(self, number: int, stream: Http2Stream, task: asyncio.Task[AnyAnswer]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if stream.is_closed:
            self._ledger.running -= 1
            if error is None:
                self._ledger.discard(task.result())
            elif isinstance(error, Exception):
                _log.error("an HTTP/2 request failed after its client left", exc_info=error)
            return
        stream.task = None
        if error is not None:
            _log.error("an HTTP/2 request failed outside of its application", exc_info=error)
            answer: AnyAnswer = self._ledger.refusal(stream.head, 500, "internal error")
        else:
            answer = task.result()
        self._finish(number, stream, answer)
        self._out.flush_soon()

    def _finish(self, number: int, stream: Http2Stream, answer: AnyAnswer) -> None:
        if isinstance(answer, Answer):
            self._ledger.running -= 1
            # The stream may be over already; then nothing of this is sent.
            if self._release(number) is not None:
                self._out.reply(number, stream.head, answer, is_complete=stream.is_complete)
        else:
            streaming = self._out.stream(number, stream.head, answer)
            stream.task = self._ledger.loop.create_task(streaming)
            stream.task.add_done_callback(partial(self._streamed, number, stream, answer))

    def _streamed(
        self, number: int, stream: Http2Stream, answer: StreamedAnswer, task: asyncio.Task[bool]
    ) -> None:
        self._ledger.running -= 1
        self._ledger.discard(answer)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if not stream.is_closed:
            self._release(number)
            did_all = error is None and task.result()
            self._out.end_stream(number, did_all=did_all, is_complete=stream.is_complete)
        if error is not None and not (stream.is_closed and task.cancelled()):
            _log.error("a streamed answer failed", exc_info=error)
        self._out.flush()

    def _has_read(self, number: int, stream: Http2Stream, size: int) -> None:
        """Open the windows for what the application has read; nothing of a stream that is struck out."""
        if stream.unread:
            stream.unread -= size
            self._acknowledge(number, size)

    def _has_consumed(self, stream: Http2Stream, size: int) -> None:
        """Strike out of the books what the application is done with, unless its stream is struck out."""
        if stream.held:
            stream.held -= size
            self._account.give(size)

    def _acknowledge(self, number: int, size: int) -> None:
        self._engine.acknowledge(size, number)
        self._out.flush()


def _too_large(intake: BodyPolicy) -> str:
    return f"the body is larger than {intake.max_bytes} bytes"


_: type[Connection] = Http2ServerConnection
