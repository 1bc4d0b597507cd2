"""A request on its way through an HTTP/2 connection: what has come of it, and who answers it."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.core.tensor import Buffer
from gateway.http.exchange import BodyPolicy, Head
from gateway.http.server.body_stream import BodyStream, gather, too_slow


class Http2Stream:
    """A request that is coming or being answered.

    ``held``: bytes of its body that are counted as buffered. ``unread``: those of a streamed one that nobody
    has read, so that the windows stay closed for as much. ``size``: all that have come.
    """

    __slots__ = (
        "_parts",
        "began",
        "body",
        "head",
        "held",
        "intake",
        "is_closed",
        "is_complete",
        "size",
        "task",
        "unread",
    )

    def __init__(self, head: Head, intake: BodyPolicy, began: float) -> None:
        self.head, self.intake, self.began = head, intake, began
        self.size = self.held = self.unread = 0
        self.is_complete = self.is_closed = False
        self.body: BodyStream | None = None
        self.task: asyncio.Task[Any] | None = None
        self._parts: list[Buffer] = []

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "coming" if not self.is_complete else "complete"
        return f"<Http2Stream {state}, {self.size} bytes>"

    def add(self, part: bytes) -> None:
        """Take a part of the body."""
        self.size += len(part)
        self.held += len(part)
        if self.body is not None:
            self.unread += len(part)
            self.body.add(part)
        else:
            gather(self._parts, part)

    def whole(self) -> Buffer:
        """Return the body, of which nothing is kept here."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def is_slow(self, now: float, patience_s: float, bytes_per_s: int) -> bool:
        """Whether the body that is waited for comes too slowly; of a streamed one, the message."""
        if self.is_complete:
            return False
        if self.body is not None:
            return self.body.is_slow(now, patience_s, bytes_per_s)
        return too_slow(self.size, now - self.began, patience_s, bytes_per_s)
