"""A request on its way through an HTTP/2 connection: what has come of it, and who answers it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway.core.tensor import Buffer
from gateway.http.exchange import BodyPolicy, Head
from gateway.http.server.body_stream import BodyStream, gather, too_slow
from gateway.http.server.http2.state import StreamState

_RECEIVING: Final = StreamState.RECEIVING
_CONVERSING: Final = StreamState.CONVERSING
_COMPLETE: Final = (StreamState.ANSWERING, StreamState.CONVERSED)
_CLOSED: Final = StreamState.CLOSED


class Http2Stream:
    """A request that is coming or being answered.

    ``held``: bytes of its body that are counted as buffered. ``unread``: those of a streamed one that
    are not read yet, so that the windows stay closed for as much. ``size``: all that have come.
    ``makes_room``: it is being answered, and its answer will give up what is held. ``task``: answers it.
    """

    __slots__ = (
        "_parts",
        "began",
        "body",
        "head",
        "held",
        "makes_room",
        "number",
        "policy",
        "size",
        "state",
        "task",
        "unread",
    )

    def __init__(self, number: int, head: Head, policy: BodyPolicy, began: float) -> None:
        self.number, self.head, self.policy, self.began = number, head, policy, began
        self.size = self.held = self.unread = 0
        self.state = _CONVERSING if policy.is_stream else _RECEIVING
        self.makes_room = False
        self.body: BodyStream | None = None
        self.task: asyncio.Task[Any] | None = None
        self._parts: list[Buffer] = []

    def __repr__(self) -> str:
        return f"<Http2Stream {self.number} {self.state.value}, {self.size} bytes>"

    @property
    def is_complete(self) -> bool:
        """Whether the body has ended."""
        return self.state in _COMPLETE

    @property
    def is_closed(self) -> bool:
        """Whether nothing of an answer is sent any more."""
        return self.state is _CLOSED

    @property
    def parts(self) -> int:
        """How many pieces the body is kept in."""
        return len(self._parts)

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
