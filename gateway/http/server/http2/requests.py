"""The requests of an HTTP/2 connection: each in a stream of its own, all of them at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from gateway.core.eager import begin
from gateway.http.exchange import Answer, AnyAnswer, BodyPolicy, Head, PendingAnswer, StreamedAnswer
from gateway.http.framing.http2_server import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    BodyData,
    HeadTooLarge,
    Http2Request,
    Http2Server,
)
from gateway.http.server.address_limits import Booking
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.context import ServerContext
from gateway.http.server.ended_peers import Ending
from gateway.http.server.http2.state import BODY_ENDED, StreamCommand, StreamEvent, decide_stream
from gateway.http.server.http2.stream import Http2Stream
from gateway.http.server.http2.windows import Http2Windows
from gateway.http.server.http2.writer import Http2Writer
from gateway.http.server.incoming_bodies import GIVEN_UP, LARGE
from gateway.http.server.repeated_head import RepeatedHead

B = TypeVar("B")

_log = logging.getLogger(__name__)

_INTERNAL: Final = "internal error"
_FULL: Final = (503, "too many bodies are on their way; try again later")
_LATE: Final = (408, "the body took too long")
_IDLE: Final = (408, "nothing was sent in this stream for too long")
_GIVEN_UP: Final = (408, GIVEN_UP)
_ANSWER: Final = StreamCommand.ANSWER
_REQUEST: Final = 4 << 10
"""Bytes that a request is taken to need until it is answered, besides its head and its body."""

_STREAM: Final = 16 << 10
"""Likewise a streamed one, for which a task waits, and what the application has for it."""


class Http2Requests:
    """The streams that are open. ``windows``: theirs. ``booking``: where the newest of them is booked."""

    __slots__ = (
        "_application",
        "_begun",
        "_context",
        "_engine",
        "_head",
        "_streams",
        "_writer",
        "booking",
        "windows",
    )

    def __init__(
        self,
        context: ServerContext,
        peer: str,
        engine: Http2Server,
        writer: Http2Writer,
        windows: Http2Windows,
        *,
        booking: Booking,
    ) -> None:
        self._context, self._engine, self._writer, self.windows = context, engine, writer, windows
        self._application = context.application
        self._head = RepeatedHead(peer, is_http2=True)
        self._streams: dict[int, Http2Stream] = {}
        self._begun = 0
        self.booking = booking

    def __repr__(self) -> str:
        return f"<Http2Requests, {len(self._streams)} streams>"

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Http2Stream]:
        """Go through the streams; they may be closed meanwhile."""
        return iter(tuple(self._streams.values()))

    # --- what comes

    def take_request(self, event: Http2Request) -> None:
        """Take a request's headers, and its body if that is empty."""
        number, head = event.stream, self._head.of(event.head)
        opened = self._application.open(head)
        if isinstance(opened, Answer):
            self._writer.reply(number, head, opened, is_complete=event.is_complete)
            return
        if (event.length or 0) > opened.max_bytes:
            refusal = self._context.refusal(head, 413, _too_large(opened))
            self._writer.reply(number, head, refusal, is_complete=False)
            return
        self.booking = booking = self.booking.under(opened.holder)
        stream = Http2Stream(number, head, opened, booking, self._context.loop.time())
        stream.cost = -event.size
        self._streams[number] = stream
        self._begun += 1
        if opened.is_stream:
            self._begin_conversation(stream, is_complete=event.is_complete)
        elif event.is_complete and self._book(stream):
            self._happen(stream, BODY_ENDED)

    def _begin_conversation(self, stream: Http2Stream, *, is_complete: bool) -> None:
        if not self._book(stream):
            # Before the application has anything for it.
            return
        windows = self.windows
        stream.body = body = BodyStream(
            _ignore_flow, taken=partial(windows.read, stream), done=partial(windows.consumed, stream)
        )
        if is_complete:
            self._happen(stream, BODY_ENDED)
        self._answer(stream, self._application.answer_stream, body)

    def book(self) -> None:
        """Book what requests take besides their bodies, of those that have begun and are not answered yet.

        Those that were answered where they stood, as cache hits are, need no such booking.
        """
        begun, self._begun = self._begun, 0
        if begun and self._streams:
            for stream in tuple(islice(reversed(self._streams.values()), begun)):
                if stream.cost < 0:
                    self._book(stream)

    def _book(self, stream: Http2Stream) -> bool:
        """Book what a request takes; one that has no room is refused, unless it is being answered already."""
        is_stream = stream.policy.is_stream
        cost = (_STREAM if is_stream else _REQUEST) - stream.cost
        # Of a stream nobody knows how much will come: it has to fit beside what is there.
        has_room = stream.booking.has_room(cost, 0 if is_stream else cost + stream.policy.max_bytes)
        if not has_room and not stream.is_complete:
            self._context.ended.note(Ending.NO_ROOM)
            self._refuse(stream, *_FULL)
            return False
        stream.booking.charge(cost)
        stream.cost = cost
        return True

    def take_data(self, event: BodyData) -> None:
        """Take more of a body."""
        number, data = event.stream, event.data
        stream, size, windows = self._streams.get(number), len(data), self.windows
        if stream is None:
            # Refused before; the windows must go on all the same.
            windows.acknowledge(number, size)
        elif stream.size + size > stream.policy.max_bytes:
            windows.acknowledge(number, size)
            self._give_up(stream, 413, _too_large(stream.policy))
        elif not windows.take(stream, size):
            windows.acknowledge(number, size)
            self._context.ended.note(Ending.NO_ROOM)
            self._give_up(stream, *_FULL)
        else:
            stream.add(data)
            if stream.size >= LARGE and stream not in stream.booking.incoming:
                stream.booking.incoming.add(stream, partial(self._yield_memory, stream))
            if event.is_complete:
                self._happen(stream, BODY_ENDED)

    def _yield_memory(self, stream: Http2Stream) -> None:
        self._context.ended.note(Ending.GIVEN_UP)
        self._give_up(stream, *_GIVEN_UP)
        self._writer.flush_soon()

    def take_end(self, number: int) -> None:
        """Take the end of a body that ends with trailers."""
        if (stream := self._streams.get(number)) is not None:
            self._happen(stream, BODY_ENDED)

    def take_too_large(self, event: HeadTooLarge) -> None:
        """Refuse headers that are too large."""
        head = self._head.of(event.head)
        refusal = self._context.refusal(head, 431, "the headers are too large or too many")
        self._writer.reply(event.stream, head, refusal, is_complete=event.is_complete)

    def take_closed(self, number: int) -> None:
        """Take the end of a stream that the peer has left."""
        if (stream := self._streams.get(number)) is not None:
            self._happen(stream, StreamEvent.PEER_LEFT)

    # --- what the connection finds

    def close_all(self) -> None:
        """Cancel everything: the connection is gone."""
        for stream in self:
            self._happen(stream, StreamEvent.PEER_LEFT)

    def end_conversations(self) -> None:
        """Let streamed requests end after the messages that have begun."""
        for stream in self:
            if stream.body is not None:
                stream.body.leave()

    def close_stuck(self, numbers: list[int]) -> None:
        """Reset streams of which the peer does not take the answers."""
        for number in numbers:
            self._context.ended.note(Ending.SLOW_READER)
            if (stream := self._streams.get(number)) is not None:
                self._happen(stream, StreamEvent.PEER_STUCK)
            else:
                self._engine.reset(number, CANCEL)

    def end_slow(self, now: float) -> None:
        """Refuse bodies that come too slowly, and end streams in which nothing happens."""
        settings, is_held_back = self._context.settings, self.windows.is_holding_back(self)
        for stream in self:
            if stream.is_late(now, settings, is_held_back=is_held_back):
                self._context.ended.note(Ending.SLOW_BODY)
                self._give_up(stream, *_LATE)
            elif stream.is_idle(now, settings.stream_idle_timeout_s):
                self._end_idle(stream)

    def _end_idle(self, stream: Http2Stream) -> None:
        is_complete, has_begun = stream.is_complete, stream.is_answered_in_part
        if self._happen(stream, StreamEvent.UNWANTED) is not StreamCommand.END_EARLY:
            return
        self._context.ended.note(Ending.IDLE_STREAM)
        refusal = self._context.refusal(stream.head, *_IDLE)
        if has_begun:
            self._writer.end_early(stream.number, refusal, is_complete=is_complete)
        else:
            self._writer.reply(stream.number, stream.head, refusal, is_complete=is_complete)

    # --- the state of a stream

    def _happen(self, stream: Http2Stream, event: StreamEvent) -> StreamCommand:
        stream.state, command = decide_stream(stream.state, event)
        if command is _ANSWER:
            self.windows.begin_answering(stream)
            if stream.size >= LARGE:
                stream.booking.incoming.remove(stream)
            self._answer(stream, self._application.answer, stream.whole())
        elif command is StreamCommand.END_BODY:
            stream.booking.incoming.remove(stream)
            if stream.body is not None:
                stream.body.end()
        elif command is StreamCommand.RESET_CANCEL:
            self._engine.reset(stream.number, CANCEL)
            self._drop(stream)
        elif command is StreamCommand.RESET_CALM:
            self._engine.reset(stream.number, ENHANCE_YOUR_CALM)
            self._drop(stream)
        elif command is not StreamCommand.NOTHING:
            self._drop(stream)
        return command

    def _give_up(self, stream: Http2Stream, status: int, message: str) -> None:
        """Refuse a body that has come in part."""
        if self._happen(stream, StreamEvent.BODY_UNWANTED) is StreamCommand.REFUSE:
            refusal = self._context.refusal(stream.head, status, message)
            self._writer.reply(stream.number, stream.head, refusal, is_complete=False)

    def _refuse(self, stream: Http2Stream, status: int, message: str) -> None:
        """Refuse a stream of which nothing is answered yet."""
        is_complete = stream.is_complete
        self._happen(stream, StreamEvent.UNWANTED)
        refusal = self._context.refusal(stream.head, status, message)
        self._writer.reply(stream.number, stream.head, refusal, is_complete=is_complete)

    def _drop(self, stream: Http2Stream) -> None:
        """Forget a stream; what still works for it is cancelled."""
        self._release(stream)
        if stream.body is not None:
            stream.body.break_off()
        if stream.task is not None:
            stream.task.cancel()

    def _release(self, stream: Http2Stream) -> bool:
        """Remove a stream; return whether it was there."""
        if self._streams.pop(stream.number, None) is None:
            return False
        self.windows.release(stream)
        return True

    # --- its answer

    def _answer(
        self, stream: Http2Stream, answer: Callable[[Head, B], AnyAnswer | PendingAnswer], body: B
    ) -> None:
        self._context.running += 1
        answered: AnyAnswer | asyncio.Task[AnyAnswer]
        try:
            answered = begin(answer(stream.head, body), self._context.loop, partial(self._done, stream))
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - whatever it is, the client gets an answer
            _log.exception("an HTTP/2 request failed outside of its application")
            answered = self._context.refusal(stream.head, 500, _INTERNAL)
        if isinstance(answered, asyncio.Task):
            stream.task = answered
        else:
            self._finish(stream, answered)

    def _done(self, stream: Http2Stream, task: asyncio.Task[AnyAnswer]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if stream.is_closed:
            self._context.running -= 1
            if error is None:
                self._context.discard(task.result())
            elif isinstance(error, Exception):
                _log.error("an HTTP/2 request failed after its client left", exc_info=error)
            return
        stream.task = None
        if error is not None:
            _log.error("an HTTP/2 request failed outside of its application", exc_info=error)
            answer: AnyAnswer = self._context.refusal(stream.head, 500, _INTERNAL)
        else:
            answer = task.result()
        self._finish(stream, answer)
        self._writer.flush_soon()

    def _finish(self, stream: Http2Stream, answer: AnyAnswer) -> None:
        if isinstance(answer, Answer):
            self._context.running -= 1
            # The stream may be over already; then nothing of this is sent.
            if self._release(stream):
                self._writer.reply(stream.number, stream.head, answer, is_complete=stream.is_complete)
        else:
            streaming = self._writer.stream(stream.number, stream.head, answer, stream.note_sent)
            stream.is_answered_in_part = True
            stream.task = self._context.loop.create_task(streaming)
            stream.task.add_done_callback(partial(self._streamed, stream, answer))

    def _streamed(self, stream: Http2Stream, answer: StreamedAnswer, task: asyncio.Task[bool]) -> None:
        self._context.running -= 1
        self._context.discard(answer)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if not stream.is_closed:
            self._release(stream)
            did_all = error is None and task.result()
            self._writer.end_stream(stream.number, did_all=did_all, is_complete=stream.is_complete)
        if error is not None and not (stream.is_closed and task.cancelled()):
            _log.error("a streamed answer failed", exc_info=error)
        self._writer.flush()


def _ignore_flow(_flows: bool) -> None:  # noqa: FBT001 - what BodyStream calls
    """The windows say it."""


def _too_large(policy: BodyPolicy) -> str:
    return f"the body is larger than {policy.max_bytes} bytes"
