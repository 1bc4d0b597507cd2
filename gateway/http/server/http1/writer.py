"""What an HTTP/1.1 connection writes: answers in one piece, answers that stream, and no more than is read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, StreamedAnswer
from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.context import ServerContext
from gateway.http.server.write_progress import WriteProgress

_LARGE: Final = 64 << 10
"""Larger outputs are not joined: the copy would cost more than the system call that it saves."""


class Http1Writer:
    """Collects what is to be written, and writes it when ``flush`` is called.

    ``is_closing``: a response with ``connection: close`` was written. ``progress``: checks that a slow peer
    still reads.
    """

    __slots__ = (
        "_context",
        "_make_id",
        "_parts",
        "_size",
        "_transport",
        "_writable",
        "is_closing",
        "is_paused",
        "progress",
        "streamed",
    )

    def __init__(self, context: ServerContext, transport: asyncio.Transport) -> None:
        self._context, self._transport = context, transport
        self._make_id = context.make_request_id
        self._parts: list[Buffer] = []
        self._size = self.streamed = 0
        self._writable: asyncio.Future[None] | None = None
        self.is_closing = self.is_paused = False
        self.progress = WriteProgress(transport, context.settings)

    def __repr__(self) -> str:
        state = "paused" if self.is_paused else "closing" if self.is_closing else "open"
        return f"<Http1Writer {state}, {len(self._parts)} parts>"

    def reply(self, raw: Http1RequestHead | None, answer: Answer, *, has_more: bool = False) -> None:
        """Write a whole answer to the request with the head ``raw``; None: it never became one.

        ``has_more``: others behind it are under way.
        """
        body = answer.body
        size = sum(map(len, body))
        self._parts.append(self._head(raw, answer, b"content-length: %d\r\n\r\n" % size, has_more=has_more))
        if raw is None or raw.method != "HEAD":
            self._parts.extend(body)
            self._size += size
            if self._size > _LARGE:
                # Written at once: before the next answer the transport finds out whether the peer reads.
                self.flush()

    def write(self, parts: Sequence[Buffer]) -> None:
        """Write parts as they are."""
        self._parts.extend(parts)

    async def stream(self, raw: Http1RequestHead, answer: StreamedAnswer, *, has_more: bool = False) -> None:
        """Write a streamed answer as it comes and as fast as the peer reads."""
        if raw.is_10:
            # Only the end of the connection ends such a body.
            self._parts.append(self._head(raw, answer, b"\r\n", ends=True))
        else:
            last = b"transfer-encoding: chunked\r\n\r\n"
            self._parts.append(self._head(raw, answer, last, has_more=has_more))
        self.flush()
        if raw.method == "HEAD":
            return
        async for part in answer.source:
            if self._transport.is_closing():
                # A source that never waits gives no chance to cancel this task.
                return
            if part:
                self.streamed += len(part)
                self._parts.extend((part,) if raw.is_10 else (b"%x\r\n" % len(part), part, b"\r\n"))
                self.flush()
                await self._drained()
        if not raw.is_10:
            self._parts.append(b"0\r\n\r\n")

    def pause(self) -> None:
        """Note that the peer reads too slowly."""
        self.is_paused = True
        self.progress.watch(self._context.loop.time())

    def resume(self) -> None:
        """Note that the peer has caught up, or is gone."""
        self.is_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def flush_soon(self) -> None:
        """Hand everything to the transport by the end of this turn of the loop."""
        if self._parts:
            self._context.flush_soon(self)

    def leave(self) -> None:
        """Write nothing more, and check that the peer reads the rest."""
        self.progress.watch(self._context.loop.time())

    def flush(self) -> None:
        """Hand everything to the transport, which keeps what the peer does not read yet."""
        parts = self._parts
        if not parts:
            return
        self._parts, self._size = [], 0
        if self._transport.is_closing():
            return
        if sum(map(len, parts)) > _LARGE:
            self._transport.writelines(parts)
        else:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def _head(
        self,
        raw: Http1RequestHead | None,
        answer: AnyAnswer,
        last: bytes,
        *,
        has_more: bool = False,
        ends: bool = False,
    ) -> bytes:
        head = self._context.response_heads.render(answer.status, answer.fields)
        if request_id := answer.request_id or self._make_id():
            head = b"%bx-request-id: %b\r\n" % (head, request_id)
        if answer.extra:
            head += b"".join(b"%b: %b\r\n" % pair for pair in answer.extra)
        # Not even a refusal of what never became a request leaves the connection open.
        ends = ends or answer.close or (self._context.drain.is_active and not has_more)
        if raw is None or not raw.keep_alive or ends:
            self.is_closing = True
            head += b"connection: close\r\n"
        elif raw.is_10:
            head += b"connection: keep-alive\r\n"
        return head + last

    async def _drained(self) -> None:
        while self.is_paused and not self._transport.is_closing():
            self._writable = self._context.loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None


def closing(answer: Answer) -> Answer:
    """Return the answer as one after which the connection ends."""
    return replace(answer, close=True)
