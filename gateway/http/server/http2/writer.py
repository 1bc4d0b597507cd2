"""What an HTTP/2 connection writes: answers in one piece, answers that stream, and no more than is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gateway.http.exchange import Answer, AnyAnswer, Head, StreamedAnswer
from gateway.http.framing.errors import FramingError
from gateway.http.framing.http2_server import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    INTERNAL_ERROR,
    NO_ERROR,
    Http2Server,
)
from gateway.http.request_ids import HEADER as _REQUEST_ID
from gateway.http.server.context import ServerContext
from gateway.http.server.ended_peers import Ending
from gateway.http.server.settings import TransportSettings
from gateway.http.server.unread_answers import UnreadAnswers
from gateway.http.server.write_progress import WriteProgress, least_taken

_MOST_AT_ONCE: Final = 1 << 20
"""Bytes that are taken out of the protocol engine for one write."""

_MOST_QUEUED: Final = 256 << 10
"""Bytes of one streamed answer that may wait for the peer's window before its source has to wait."""

_STATUS: Final = {status: (b":status", b"%d" % status) for status in range(100, 600)}
_LENGTH: Final = b"content-length"
_SERVER: Final = (b"server", b"edgeway")


class Http2Writer:
    """Puts answers into ``engine`` and writes what it gives out, whenever ``flush`` is called.

    ``is_held``: more is to come in this turn, so nothing is written yet. ``progress``: checks that a slow
    peer still reads.
    """

    __slots__ = (
        "_answered",
        "_answered_early",
        "_context",
        "_engine",
        "_make_id",
        "_room",
        "_unread",
        "is_held",
        "is_paused",
        "progress",
        "transport",
        "unsent",
    )

    def __init__(
        self,
        context: ServerContext,
        transport: asyncio.Transport,
        engine: Http2Server,
        unread: UnreadAnswers,
    ) -> None:
        self._context, self.transport, self._engine = context, transport, engine
        self._unread = unread
        self._make_id = context.make_request_id
        self.unsent = Unsent(engine.queued)
        self._answered: list[int] = []
        self._answered_early: list[int] = []
        self._room: asyncio.Future[None] | None = None
        self.is_held = self.is_paused = False
        self.progress = WriteProgress(transport, context.settings)

    def __repr__(self) -> str:
        return f"<Http2Writer {'paused' if self.is_paused else 'open'}, {self.unsent!r}>"

    @property
    def queued(self) -> int:
        """Bytes of all answers that wait for the peer's windows, or for the peer to read."""
        return self._engine.queued()

    def reply(self, number: int, head: Head, answer: Answer, *, is_complete: bool) -> None:
        """Send a whole answer; to a request that is not complete, as one that need not be."""
        body, headers = answer.body, self._headers(answer)
        if not answer.trailers:
            headers = (*headers, (_LENGTH, b"%d" % sum(map(len, body))))
        self._engine.answer(number, headers, () if head.method == "HEAD" else body, answer.trailers)
        self._leave(number, is_complete=is_complete)

    async def stream(
        self, number: int, head: Head, answer: StreamedAnswer, note: Callable[[int], object]
    ) -> bool:
        """Send a streamed answer as it comes and as fast as the peer reads; false when it could not be.

        ``note`` is called with the size of each part that is sent.
        """
        engine = self._engine
        if not engine.begin(number, self._headers(answer)):
            return False
        self.flush()
        if head.method == "HEAD":
            return engine.finish(number, ())
        async for part in answer.source:
            if self.transport.is_closing():
                # A source that never waits gives no chance to cancel this task.
                return False
            if part and not engine.more(number, bytes(part)):
                return False
            note(len(part))
            self.flush()
            self.unsent.grow(number, len(part))
            if self._is_full(number):
                self.unsent.note(number, self._context.loop.time())
                while self._is_full(number):
                    await self._wait_for_room()
        return engine.finish(number, answer.source.trailers())

    def end_early(self, number: int, refusal: Answer, *, is_complete: bool) -> None:
        """End a streamed answer that is sent in part, with what ``refusal`` has for that."""
        if refusal.trailers and self._engine.finish(number, refusal.trailers):
            self._leave(number, is_complete=is_complete)
        else:
            self._engine.reset(number, CANCEL)

    def end_stream(self, number: int, *, did_all: bool, is_complete: bool) -> None:
        """Leave a stream after ``stream``; one that was not sent to its end is reset."""
        if did_all:
            self._leave(number, is_complete=is_complete)
        else:
            self._engine.reset(number, INTERNAL_ERROR)

    def pause(self) -> None:
        """Note that the peer reads too slowly."""
        self.is_paused = True
        self.progress.watch(self._context.loop.time())

    def resume(self) -> None:
        """Note that the peer has caught up."""
        self.is_paused = False
        self.flush()

    def flush_soon(self) -> None:
        """Write what may be sent by the end of this turn of the loop."""
        self._context.flush_soon(self)

    def leave(self) -> None:
        """Write nothing more, and check that the peer reads the rest."""
        self.progress.watch(self._context.loop.time())

    def release(self) -> None:
        """Book nothing any more: the connection is gone."""
        self._unread.book(0)

    def flush(self) -> None:
        """Write what may be sent. While the peer does not read, the engine keeps the rest."""
        if self.is_held or self.transport.is_closing():
            return
        try:
            self._write()
            if self._answered_early and self._reset_early():
                self._write()
        except FramingError:
            self.fail()
            return
        if self._answered:
            self._note_unsent()
        self._wake()
        if self._engine.is_over:
            self.transport.close()

    def fail(self) -> None:
        """Send the GOAWAY that the engine may have, and close."""
        with suppress(FramingError):
            self.transport.write(self._engine.output(_MOST_AT_ONCE))
        self.transport.close()

    def _headers(self, answer: AnyAnswer) -> tuple[tuple[bytes, bytes], ...]:
        status, fields = _STATUS[answer.status], answer.fields
        request_id = answer.request_id or self._make_id()
        pairs = (*fields.pairs, (_REQUEST_ID, request_id)) if request_id else fields.pairs
        if fields.is_bare:
            return (status, *pairs, *answer.extra)
        return (status, (b"date", self._context.date.value), _SERVER, *pairs, *answer.extra)

    def _leave(self, number: int, *, is_complete: bool) -> None:
        self._answered.append(number)
        if not is_complete:
            self._answered_early.append(number)

    def _write(self) -> None:
        while not self.is_paused and (output := self._engine.output(_MOST_AT_ONCE)):
            self.transport.write(output)

    def _reset_early(self) -> bool:
        """Reset streams whose answers are out and whose requests go on; return whether there were any.

        RFC 9113, 8.1: the rest of the request is not needed, without error. Sent too early, it would take
        the answer along.
        """
        if self.is_paused:
            return False
        early, self._answered_early = self._answered_early, []
        for number in early:
            if self._engine.queued(number):
                self._answered_early.append(number)
            else:
                self._engine.reset(number, NO_ERROR)
        return len(self._answered_early) < len(early)

    def _note_unsent(self) -> None:
        if self._engine.queued():
            now, has_room = self._context.loop.time(), self.book_unread()
            for number in self._answered:
                if has_room:
                    self.unsent.note(number, now)
                elif self._engine.queued(number):
                    self._context.ended.note(Ending.UNREAD)
                    self._engine.reset(number, ENHANCE_YOUR_CALM)
            if not has_room:
                self._write()
        self._answered.clear()

    def book_unread(self) -> bool:
        """Book the bytes of answers that wait; return whether there is room for them."""
        return self._unread.book(self._engine.queued() + self.transport.get_write_buffer_size())

    def _is_full(self, number: int) -> bool:
        return self.is_paused or self._engine.queued(number) > _MOST_QUEUED

    async def _wait_for_room(self) -> None:
        if self._room is None:
            self._room = self._context.loop.create_future()
        await asyncio.shield(self._room)

    def _wake(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


class Unsent:
    """Answers of which a part still waits in the engine, and since when.

    ``queued`` returns how many bytes of a stream's answer wait. It is true while there is such an answer. The
    bytes that the peer has to read in each ``write_timeout_s`` are shared between them. An answer that grows,
    because some of it was read, begins no new window.
    """

    __slots__ = ("_queued", "_waiting")

    def __init__(self, queued: Callable[[int], int]) -> None:
        self._queued = queued
        self._waiting: dict[int, tuple[int, int, float]] = {}

    def __repr__(self) -> str:
        return f"<Unsent {len(self._waiting)} streams>"

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def note(self, number: int, now: float) -> None:
        """Begin to watch a stream that is not watched, if a part of its answer waits."""
        if number not in self._waiting and (waits := self._queued(number)):
            self._waiting[number] = (waits, 0, now)

    def grow(self, number: int, size: int) -> None:
        """Note that the answer of a stream has become longer by ``size`` bytes."""
        if (found := self._waiting.get(number)) is not None:
            waited, before, since = found
            self._waiting[number] = (waited + size, before, since)

    def stuck(self, now: float, settings: TransportSettings) -> list[int]:
        """Return, and forget, the streams of which too little went out for ``write_timeout_s``."""
        limit_s, found = settings.write_timeout_s, []
        # Streams share the bandwidth: each of many is slower than one would be alone.
        least = least_taken(settings) / max(1, len(self._waiting))
        for number, (waited, before, since) in list(self._waiting.items()):
            waits = self._queued(number)
            taken = before + max(0, waited - waits)
            if not waits:
                del self._waiting[number]
            elif taken >= least:
                self._waiting[number] = (waits, 0, now)
            elif now - since > limit_s:
                del self._waiting[number]
                found.append(number)
            else:
                self._waiting[number] = (waits, taken, since)
        return found
