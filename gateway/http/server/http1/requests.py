"""The requests of an HTTP/1.1 connection that are complete enough to be answered: one at a time, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from gateway.core.eager import begin
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, Head, PendingAnswer, StreamedAnswer
from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.address_limits import AddressUsage, Booked
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.context import ServerContext
from gateway.http.server.http1.pipeline import Http1Pipeline
from gateway.http.server.http1.writer import Http1Writer

B = TypeVar("B")
Answering = tuple[Head, Http1RequestHead]

_log = logging.getLogger(__name__)

_INTERNAL: Final = "internal error"


class RequestsOwner(Protocol):
    """The connection, as its requests know it."""

    @property
    def has_unread(self) -> bool:
        """Whether a request is being read, or came together with those that were."""
        ...

    def step(self) -> None:
        """Continue after an answer was written."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...


class Http1Requests:
    """The requests of one connection that are answered, or wait for that.

    ``answering``: the one that is being answered. ``waiting``: those behind it. A request counts as running,
    and stays booked, until it is answered.
    """

    __slots__ = (
        "_booked",
        "_context",
        "_is_streamed",
        "_moved",
        "_moved_at",
        "_owner",
        "_task",
        "_transport",
        "_writer",
        "answering",
        "waiting",
    )

    def __init__(
        self,
        context: ServerContext,
        transport: asyncio.Transport,
        writer: Http1Writer,
        usage: AddressUsage,
        owner: RequestsOwner,
    ) -> None:
        self._context, self._transport, self._writer = context, transport, writer
        self._owner = owner
        self._booked: Booked | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_streamed, self._moved, self._moved_at = False, -1, 0.0
        self.answering: Answering | None = None
        self.waiting = Http1Pipeline(context, transport, usage)

    def __repr__(self) -> str:
        return f"<Http1Requests {'busy' if self.answering else 'free'}, {len(self.waiting)} waiting>"

    @property
    def has_more(self) -> bool:
        """Whether requests behind the one that is answered are under way: a drain does not lose them."""
        return bool(self.waiting) or self._owner.has_unread

    def submit(self, head: Head, raw: Http1RequestHead, body: Buffer | BodyStream, booked: Booked) -> None:
        """Answer a request when its turn comes."""
        if self.answering is not None or self.waiting or self._writer.is_paused:
            self.waiting.add((head, raw, body, booked))
        else:
            self._answer(head, raw, body, booked)

    def reject(self, raw: Http1RequestHead | None, answer: Answer) -> None:
        """Write a refusal when its turn comes; ``raw`` is None when what came never was a request."""
        if self.answering is not None or self.waiting:
            self.waiting.add((None, raw, answer))
        else:
            self._writer.reply(raw, answer, has_more=self.has_more)

    def follow(
        self, request: Answering, booked: Booked, answered: AnyAnswer | asyncio.Task[AnyAnswer]
    ) -> None:
        """Write ``answered`` when it is there; until then the request stays booked."""
        self._context.running += 1
        self.answering, self._booked = request, booked
        if isinstance(answered, asyncio.Task):
            self._task = answered
        else:
            self._finish(request[1], answered)

    def failed(self, head: Head) -> Answer:
        """Return the answer of an application that has raised; within the ``except``."""
        # A CancelledError here is one that the application met itself: this connection cancels only tasks.
        _log.exception("an HTTP request failed outside of its application")
        return self._context.refusal(head, 500, _INTERNAL)

    def advance(self) -> None:
        """Answer those that wait, as long as each is answered at once."""
        writer = self._writer
        while self.waiting and self.answering is None and not (writer.is_paused or writer.is_closing):
            request = self.waiting.take()
            if request[0] is None:
                writer.reply(request[1], request[2], has_more=self.has_more)
            else:
                self._answer(*request)
        self._owner.step()

    def is_idle(self, now: float, came: int) -> bool:
        """Whether neither side has sent anything of a streamed request for too long; ``came``: of its body.

        A whole request that waits for the application is none that its client keeps open.
        """
        if not self._is_streamed:
            return False
        moved = came + self._writer.streamed
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        return now - self._moved_at > self._context.settings.stream_idle_timeout_s

    def cancel(self) -> None:
        """Cancel the answer under way: it cannot be sent any more."""
        if self._task is not None:
            self._task.cancel()

    def done(self, task: asyncio.Task[AnyAnswer]) -> None:
        """Take the end of an answer that was waited for."""
        self._task = None
        answering = self.answering
        assert answering is not None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is not None and not (task.cancelled() and self._transport.is_closing()):
            _log.error("an HTTP request failed outside of its application", exc_info=error)
        if self._transport.is_closing():
            if error is None:
                self._context.discard(task.result())
            self._end_answering()
            self._owner.abort()
            return
        answer = task.result() if error is None else self._context.refusal(answering[0], 500, _INTERNAL)
        self._finish(answering[1], answer)
        self.advance()

    def _answer(self, head: Head, raw: Http1RequestHead, body: Buffer | BodyStream, booked: Booked) -> None:
        application = self._context.application
        if isinstance(body, BodyStream):
            self._is_streamed, self._moved = True, -1
            answered = self._begin(application.answer_stream, head, body)
        else:
            answered = self._begin(application.answer, head, body)
        self.follow((head, raw), booked, answered)

    def _begin(
        self, answer: Callable[[Head, B], AnyAnswer | PendingAnswer], head: Head, body: B
    ) -> AnyAnswer | asyncio.Task[AnyAnswer]:
        try:
            return begin(answer(head, body), self._context.loop, self.done)
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - the client gets an answer
            return self.failed(head)

    def _finish(self, raw: Http1RequestHead, answer: AnyAnswer) -> None:
        if isinstance(answer, Answer):
            self._end_answering()
            self._writer.reply(raw, answer, has_more=self.has_more)
        else:
            self._is_streamed, self._moved = True, -1
            streaming = self._writer.stream(raw, answer, has_more=self.has_more)
            self._task = self._context.loop.create_task(streaming)
            self._task.add_done_callback(partial(self._streamed, answer))

    def _streamed(self, answer: StreamedAnswer, task: asyncio.Task[None]) -> None:
        self._task = None
        self._context.discard(answer)
        self._end_answering()
        if task.cancelled():
            self._owner.abort()
        elif (error := task.exception()) is not None:
            # The headers said 200 long ago: only a broken body shows it to the client now.
            _log.error("a streamed answer failed", exc_info=error)
            self._owner.abort()
        elif not self._transport.is_closing():
            self.advance()

    def _end_answering(self) -> None:
        self.answering, self._is_streamed = None, False
        self._context.running -= 1
        if self._booked is not None:
            self._booked.release()
            self._booked = None
