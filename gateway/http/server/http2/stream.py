"""A request on its way through an HTTP/2 connection: what has come of it, and who answers it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from gateway.core.tensor import Buffer
from gateway.http.exchange import BodyPolicy, Head
from gateway.http.framing.large_body import LARGE_BYTES, BodyCollector
from gateway.http.server.address_limits import Booking
from gateway.http.server.body_progress import BodyProgress
from gateway.http.server.body_stream import BodyStream, gather
from gateway.http.server.http2.state import StreamState
from gateway.http.server.incoming_bodies import IncomingBody
from gateway.http.server.settings import TransportSettings

_RECEIVING: Final = StreamState.RECEIVING
_CONVERSING: Final = StreamState.CONVERSING
_COMPLETE: Final = (StreamState.ANSWERING, StreamState.CONVERSED)
_CLOSED: Final = StreamState.CLOSED


class Http2Stream:
    """A request that is coming or being answered.

    ``booking``: in whose names it is booked: ``booked`` bytes of its body, and ``cost`` besides, which is
    negative while it is not. ``unread``:
    those of a streamed one that are not read yet, so that the windows stay closed for as much. ``size``: all
    that have come. ``makes_room``: it is being answered, and its answer will give up what is booked.
    ``task``: answers it. ``is_answered_in_part``: a streamed answer has begun.
    """

    __slots__ = (
        "_large",
        "_moved",
        "_moved_at",
        "_parts",
        "_progress",
        "_sent",
        "began",
        "body",
        "booked",
        "booking",
        "cost",
        "head",
        "is_answered_in_part",
        "makes_room",
        "number",
        "policy",
        "size",
        "state",
        "task",
        "unread",
    )

    def __init__(self, number: int, head: Head, policy: BodyPolicy, booking: Booking, began: float) -> None:
        self.number, self.head, self.policy, self.booking = number, head, policy, booking
        self.began = self._moved_at = began
        self.size = self.booked = self.unread = self.cost = self._sent = self._moved = 0
        self.state = _CONVERSING if policy.is_stream else _RECEIVING
        self.makes_room = self.is_answered_in_part = False
        self.body: BodyStream | None = None
        self.task: asyncio.Task[Any] | None = None
        self._progress: BodyProgress | None = None
        self._parts: list[Buffer] = []
        self._large: BodyCollector | None = None

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
        self.booked += len(part)
        if self.body is not None:
            self.unread += len(part)
            self.body.add(part)
        elif self._large is not None:
            self._large.add(part)
        elif self.size > LARGE_BYTES:
            self._large = BodyCollector(self.policy.max_bytes)
            for each in (*self._parts, part):
                self._large.add(bytes(each))
            self._parts = []
        else:
            gather(self._parts, part)

    def whole(self) -> Buffer:
        """Return the body, of which nothing is kept here."""
        if self._large is not None:
            large, self._large = self._large, None
            return large.whole()
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def progressed_at(self) -> float:
        """Loop time up to which the body came fast enough."""
        return self.began if self._progress is None else self._progress.since

    def is_late(self, now: float, settings: TransportSettings, *, is_held_back: bool = False) -> bool:
        """Whether the body that is waited for is too slow or takes too long; of a streamed one, the message.

        ``is_held_back``: this side lets nothing come, so that only the time in all counts.
        """
        if self.is_complete:
            return False
        if self.body is not None:
            return self.body.is_late(now, settings, is_held_back=is_held_back)
        progress = self._progress
        if progress is None:
            # Made by the first look: most bodies are over before it.
            progress = self._progress = BodyProgress(self.began)
        if is_held_back:
            progress.excuse(self.size, now)
        return progress.is_late(self.size, now, settings)

    def note_sent(self, size: int) -> None:
        """Note that ``size`` bytes of a streamed answer were sent."""
        self._sent += size

    def is_idle(self, now: float, limit_s: float) -> bool:
        """Whether neither side has sent anything for so long.

        A whole request that waits for the application is none that its client keeps open.
        """
        if self.body is None and not self.is_answered_in_part:
            return False
        moved = self.size + self._sent
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        return now - self._moved_at > limit_s


_: type[IncomingBody] = Http2Stream
