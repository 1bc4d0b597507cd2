"""One HTTP/2 connection: many requests at once, each in a stream of its own."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gateway.core.stepping import begin
from gateway.core.tensor import Buffer
from gateway.listeners.exchange import Answer, Head, Intake, Whole
from gateway.listeners.transport.http1 import DRAIN_SILENCE_S
from gateway.listeners.transport.ledger import Connection, Ledger
from gateway.listeners.transport.streams import BodyStream
from gateway.wire.framing import http2_server as framing
from gateway.wire.framing.http2_server import Http2Server

_log = logging.getLogger(__name__)

LAST_WORD_S: Final = 0.5
"""Seconds between the word that a connection ends and the last stream that it takes: a round trip fits."""

_MOST_AT_ONCE: Final = 1 << 20
"""Bytes that are taken out of the protocol engine for one write."""

_MOST_QUEUED: Final = 256 << 10
"""Bytes of one streamed answer that may wait for the peer's window before its source is asked for more."""

_STATUS: Final = {status: (b":status", b"%d" % status) for status in range(100, 600)}
_LENGTH: Final = b"content-length"
_SERVER: Final = (b"server", b"edgeway")


class _Stream:
    """A request that is coming or being answered."""

    __slots__ = ("began", "body", "closed", "head", "held", "intake", "parts", "size", "task")

    def __init__(self, head: Head, intake: Intake, began: float) -> None:
        self.head, self.intake, self.began = head, intake, began
        self.parts: list[bytes] = []
        self.size = self.held = 0
        self.body: BodyStream | None = None
        self.task: asyncio.Task[Any] | None = None
        self.closed = asyncio.Event()


class Http2Connection(asyncio.Protocol):
    """Speaks for one peer. ``peer`` and ``identity`` are those of ``exchange.Head``."""

    def __init__(self, ledger: Ledger, transport: asyncio.Transport, peer: str, identity: str) -> None:
        self._ledger, self._transport, self._peer, self._identity = ledger, transport, peer, identity
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
        self._streams: dict[int, _Stream] = {}
        self._heads: tuple[framing.RequestHead | None, Head | None] = (None, None)
        self._answered_early: list[int] = []
        self._is_paused = self._is_leaving = self._has_said_last = self._in_turn = False
        self._left_at = 0.0
        self._paused_since = math.inf
        self._since = ledger.loop.time()
        self._room: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "leaving" if self._is_leaving else "open"
        return f"<Http2Connection {state}, {len(self._streams)} streams>"

    # --- what the transport says

    def data_received(self, data: bytes) -> None:
        """Take a piece of the stream, and answer what can be answered at once."""
        self._since = self._ledger.loop.time()
        try:
            events = self._engine.feed(data)
        except framing.FramingError:
            self._fail()
            return
        self._in_turn = True
        try:
            for event in events:
                kind = type(event)
                if kind is framing.Data:
                    self._take_data(event)  # type: ignore[arg-type] # its type is what was just looked at
                elif kind is framing.Request:
                    self._take_request(event)  # type: ignore[arg-type] # likewise
                elif kind is framing.Complete:
                    self._take_end(event.stream)
                else:
                    self._take_closed(event)  # type: ignore[arg-type] # likewise
        finally:
            self._in_turn = False
        self._flush()

    def eof_received(self) -> bool:
        """Take the end of the stream: the peer has left."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel what is under way: nobody waits for it."""
        self._ledger.leave(self)
        for number in list(self._streams):
            self._drop(number)
        self._wake()

    def pause_writing(self) -> None:
        """Note that the peer reads too slowly."""
        self._is_paused = True
        self._paused_since = self._ledger.loop.time()

    def resume_writing(self) -> None:
        """Note that it has caught up."""
        self._is_paused, self._paused_since = False, math.inf
        self._flush()

    # --- what the ledger says

    def sweep(self, now: float) -> None:
        """End what takes too long."""
        settings = self._ledger.settings
        if now - self._paused_since > settings.write_timeout_s:
            self.abort()
            return
        if not self._streams:
            limit_s = DRAIN_SILENCE_S if self._ledger.is_draining else settings.idle_timeout_s
            if now - self._since > limit_s:
                self._engine.end()
                self._flush()
                self._transport.close()
            return
        if self._is_leaving and not self._has_said_last and now - self._left_at > LAST_WORD_S:
            # What crossed with the first word has come by now. What comes after this is not answered.
            self._has_said_last = True
            self._engine.end()
        for number, stream in list(self._streams.items()):
            elapsed_s = now - stream.began
            is_coming = stream.task is None and stream.body is None
            least = settings.min_body_bytes_per_s * (elapsed_s - settings.body_timeout_s / 2)
            if is_coming and elapsed_s > settings.body_timeout_s and stream.size < least:
                self._refuse(number, stream.head, 408, "the body took too long")
        self._flush()

    def drain(self) -> None:
        """Take no more streams than have crossed with the word that this is the end."""
        if not self._is_leaving:
            self._is_leaving = True
            self._left_at = self._since = self._ledger.loop.time()
            self._engine.announce_end()
            self._flush()

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    # --- requests

    def _take_request(self, event: framing.Request) -> None:
        raw, number = event.head, event.stream
        known, head = self._heads
        if raw is not known or head is None:
            # The same head again is the same object, and so is what was made of it.
            head = Head(raw.method, raw.path, raw.headers, self._peer, self._identity, is_http2=True)
            self._heads = (raw, head)
        opened = self._application.open(head)
        if isinstance(opened, Answer):
            self._answer_and_leave(number, opened, is_complete=event.is_complete)
        elif (event.length or 0) > opened.max_bytes:
            self._refuse(number, head, 413, _too_large(opened))
        else:
            stream = self._streams[number] = _Stream(head, opened, self._ledger.loop.time())
            if opened.is_stream:
                stream.body = BodyStream(lambda _flows: None)
                self._serve(number, stream, _acknowledging(stream.body, partial(self._acknowledge, number)))
            if event.is_complete:
                self._take_end(number)

    def _take_data(self, event: framing.Data) -> None:
        number, data = event.stream, event.data
        stream = self._streams.get(number)
        size = len(data)
        if stream is None:
            # Refused before; the windows must go on all the same.
            self._acknowledge(number, size)
            return
        stream.size += size
        if stream.body is not None:
            stream.body.add(data)
        else:
            # Bodies are bounded by their intake and all together: the windows only pace them.
            self._acknowledge(number, size)
            if stream.size > stream.intake.max_bytes:
                self._refuse(number, stream.head, 413, _too_large(stream.intake))
                return
            if not self._ledger.has_room(size):
                self._refuse(number, stream.head, 503, "too many bodies are on their way; try again later")
                return
            stream.held += size
            self._ledger.buffered += size
            stream.parts.append(data)
        if event.is_complete:
            self._take_end(number)

    def _take_end(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        if stream.body is not None:
            stream.body.end()
            return
        parts = stream.parts
        stream.parts = []
        self._serve(number, stream, parts[0] if len(parts) == 1 else b"".join(parts))

    def _take_closed(self, event: framing.Closed) -> None:
        if event.stream in self._streams:
            self._drop(event.stream)

    def _drop(self, number: int) -> None:
        """Forget a stream; whoever still works for it is told to stop."""
        stream = self._streams.pop(number)
        self._ledger.buffered -= stream.held
        stream.closed.set()
        if stream.body is not None:
            stream.body.break_off()
        if stream.task is not None:
            stream.task.cancel()

    def _refuse(self, number: int, head: Head, status: int, message: str) -> None:
        self._answer_and_leave(number, self._ledger.refusal(head, status, message), is_complete=False)

    def _answer_and_leave(self, number: int, answer: Answer, *, is_complete: bool) -> None:
        """Answer a request whose body is not wanted."""
        body = answer.body
        assert isinstance(body, tuple | list)
        if number in self._streams:
            self._drop(number)
        self._reply(number, answer, body)
        if not is_complete:
            # RFC 9113, 8.1: the rest of the request is not needed, without error. Said too early, it would
            # take the answer along.
            self._answered_early.append(number)

    def _serve(self, number: int, stream: _Stream, body: Buffer | AsyncIterator[Buffer]) -> None:
        self._ledger.running += 1
        try:
            call = self._application.answer(stream.head, body)
            answered = begin(call, self._ledger.loop, partial(self._done, number, stream))
        except Exception:  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.exception("an HTTP/2 request failed outside of its application")
            answered = self._ledger.refusal(stream.head, 500, "internal error")
        if isinstance(answered, Answer):
            self._finish(number, stream, answered)
        else:
            stream.task = answered

    def _done(self, number: int, stream: _Stream, task: asyncio.Task[Answer]) -> None:
        if task.cancelled() or stream.closed.is_set():
            self._ledger.running -= 1
            if not task.cancelled() and task.exception() is not None:
                _log.error("an HTTP/2 request failed after its client left", exc_info=task.exception())
            return
        stream.task = None
        if (error := task.exception()) is not None:
            _log.error("an HTTP/2 request failed outside of its application", exc_info=error)
            answer = self._ledger.refusal(stream.head, 500, "internal error")
        else:
            answer = task.result()
        self._finish(number, stream, answer)
        self._flush()

    def _finish(self, number: int, stream: _Stream, answer: Answer) -> None:
        body = answer.body
        if isinstance(body, tuple | list):
            self._ledger.running -= 1
            # The stream may be over already; then nothing of this is sent.
            if self._streams.pop(number, None) is not None:
                self._ledger.buffered -= stream.held
                self._reply(number, answer, body)
        else:
            stream.task = self._ledger.loop.create_task(self._pump(number, answer, body))
            stream.task.add_done_callback(partial(self._pumped, number, stream))

    # --- answers

    def _headers(self, answer: Answer) -> tuple[tuple[bytes, bytes], ...]:
        status, fields = _STATUS[answer.status], answer.fields.pairs
        if answer.trailers:
            # Nobody caches a call, and clients show these to their callers.
            return (status, *fields, *answer.extra)
        return (status, (b"date", self._ledger.date), _SERVER, *fields, *answer.extra)

    def _reply(self, number: int, answer: Answer, body: Whole) -> None:
        headers = self._headers(answer)
        if not answer.trailers:
            headers = (*headers, (_LENGTH, b"%d" % sum(map(len, body))))
        self._engine.answer(number, headers, body, answer.trailers)

    async def _pump(self, number: int, answer: Answer, body: AsyncIterator[Buffer]) -> None:
        """Send a streamed answer as it comes and as fast as the peer reads."""
        engine = self._engine
        try:
            if not engine.begin(number, self._headers(answer)):
                return
            self._flush()
            async for part in body:
                if part and not engine.more(number, bytes(part)):
                    return
                self._flush()
                while self._is_paused or engine.queued(number) > _MOST_QUEUED:
                    await self._wait_for_room()
            # Trailers of a stream are what its source says at its end.
            engine.finish(number, getattr(body, "trailers", answer.trailers))
        finally:
            if (close := getattr(body, "aclose", None)) is not None:
                await close()

    def _pumped(self, number: int, stream: _Stream, task: asyncio.Task[None]) -> None:
        self._ledger.running -= 1
        if self._streams.get(number) is stream:
            del self._streams[number]
            self._ledger.buffered -= stream.held
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a streamed answer failed", exc_info=error)
            self._engine.reset(number, framing.INTERNAL_ERROR)
        self._flush()

    async def _wait_for_room(self) -> None:
        if self._room is None:
            self._room = self._ledger.loop.create_future()
        await asyncio.shield(self._room)

    def _wake(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _acknowledge(self, number: int, size: int) -> None:
        self._engine.acknowledge(size, number)
        if not self._in_turn:
            self._flush()

    def _flush(self) -> None:
        """Write what may be sent. While the peer does not read, the engine keeps the rest."""
        if self._in_turn or self._transport.is_closing():
            return
        try:
            while not self._is_paused and (out := self._engine.output(_MOST_AT_ONCE)):
                self._transport.write(out)
                while self._answered_early:
                    self._engine.reset(self._answered_early.pop(), framing.NO_ERROR)
        except framing.FramingError:
            self._fail()
            return
        self._wake()
        if self._engine.is_over:
            self._transport.close()

    def _fail(self) -> None:
        """Say why, as far as the engine has something to say, and end."""
        with suppress(framing.FramingError):
            self._transport.write(self._engine.output(_MOST_AT_ONCE))
        self._transport.close()


def _too_large(intake: Intake) -> str:
    return f"the body is larger than {intake.max_bytes} bytes"


async def _acknowledging(body: BodyStream, acknowledge: Any) -> AsyncIterator[Buffer]:
    """Open the windows as far as the body has been read, and not before."""
    async for part in body:
        yield part
        acknowledge(len(part))


_: type[Connection] = Http2Connection
