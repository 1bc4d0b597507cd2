"""Receives the body of an HTTP/1.1 request: within limits, counted, and with few copies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gateway.core.tensor import Buffer
from gateway.http.exchange import BodyPolicy
from gateway.http.server.address_limits import Booked, Booking
from gateway.http.server.body_progress import BodyProgress
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.incoming_bodies import LARGE as WELL_KNOWN
from gateway.http.server.incoming_bodies import IncomingBody

LARGE = 64 << 10
"""A body with a larger Content-Length is written into one buffer as it comes, without the parser."""

_FULL = (503, "too many bodies are on their way; try again later")

Refusal = tuple[int, str]


class Http1Body:
    """Takes one body after the other. ``size``: bytes that have come of this one.

    ``give_up`` is called when others need its memory more; it refuses the body. ``progress``: of this one.

    Bytes are counted when they come, not when they are announced: otherwise a peer could use up the limits
    without sending anything. A refusal is a status and a message; the connection then calls ``forget``.
    """

    __slots__ = (
        "_cost",
        "_give_up",
        "_large",
        "_policy",
        "_whole",
        "booked",
        "booking",
        "progress",
        "size",
        "stream",
    )

    def __init__(self, booking: Booking, give_up: Callable[[], None]) -> None:
        self.booking, self._give_up = booking, give_up
        self._policy = BodyPolicy(0)
        self.progress = BodyProgress(0.0)
        self._whole: bytes | bytearray = b""
        self._large: memoryview | None = None
        self.stream: BodyStream | None = None
        self.size = self.booked = self._cost = 0

    def __repr__(self) -> str:
        kind = "streamed" if self.stream is not None else "large" if self._large is not None else "whole"
        return f"<Http1Body {kind}, {self.size} bytes>"

    @property
    def is_large(self) -> bool:
        """Whether the rest is written into one buffer, without the parser."""
        return self._large is not None

    @property
    def progressed_at(self) -> float:
        """Loop time up to which the body came fast enough."""
        return self.progress.since

    def begin(
        self,
        policy: BodyPolicy,
        length: int | None,
        stream: BodyStream | None,
        *,
        cost: int = 0,
        now: float = 0.0,
    ) -> Refusal | None:
        """Begin a body of ``length`` bytes (None: not known yet), streamed if ``stream`` is given.

        ``cost``: bytes that its request takes besides.
        """
        self._policy, self.stream, self.size = policy, stream, 0
        self.progress = BodyProgress(now)
        self.booking = booking = self.booking.under(policy.holder)
        if (length or 0) > policy.max_bytes:
            return self._too_large()
        if not booking.has_room(cost + (length or 0), cost + policy.max_bytes):
            return _FULL
        booking.charge(cost)
        self._cost = cost
        if stream is None and length is not None and length > LARGE:
            # Not initialised: the kernel gives memory only for the pages that are written.
            self._large = np.empty(length, np.uint8).data
        return None

    def add(self, part: Buffer) -> Refusal | None:
        """Take a part as the parser gives it out."""
        size = len(part)
        self.size += size
        if self.size > self._policy.max_bytes:
            return self._too_large()
        if self.stream is not None:
            self.stream.add(part)
        elif not self._count(size):
            return _FULL
        elif self._large is not None:
            # This is the beginning of the body, which came together with the head.
            self._large[self.size - size : self.size] = part
        else:
            self._keep(part)
        return None

    def _count(self, size: int) -> bool:
        has_room = self.booking.take(size, self._policy.max_bytes)
        if has_room:
            self.booked += size
            if self.booked >= WELL_KNOWN:
                self.booking.incoming.add(self, self._give_up)
        return has_room

    def _keep(self, part: Buffer) -> None:
        if not self._whole:
            self._whole = bytes(part)
            return
        if isinstance(self._whole, bytes):
            # One buffer: a list of chunks of two bytes would need 20 times the memory that is counted.
            self._whole = bytearray(self._whole)
        self._whole += part

    def fill(self, data: bytes) -> bytes | Refusal | None:
        """Take a piece of a large body; return what comes after the body, None while it is not complete."""
        large = self._large
        assert large is not None
        missing = len(large) - self.size
        if not self._count(min(len(data), missing)):
            return _FULL
        if len(data) < missing:
            large[self.size : self.size + len(data)] = data
            self.size += len(data)
            return None
        large[self.size :] = data if len(data) == missing else memoryview(data)[:missing]
        self.size = len(large)
        return data[missing:]

    def hand_over(self) -> Booked:
        """Return what is booked for the request, of which nothing is counted here any more."""
        booked = Booked(self.booking, self.booked, self._cost)
        if self.booked >= WELL_KNOWN:
            self.booking.incoming.remove(self)
        self.booked = self._cost = 0
        return booked

    def take(self) -> Buffer | None:
        """Return the whole body and be ready for the next; None when it was streamed, and has ended."""
        stream, whole = self.stream, self._whole if self._large is None else self._large
        self.stream, self._large, self._whole, self.size = None, None, b"", 0
        if stream is not None:
            stream.end()
            return None
        return whole if isinstance(whole, bytes) else memoryview(whole).toreadonly()

    def forget(self) -> None:
        """Drop what has come; a reader of the stream gets an error, because the rest will not come."""
        self.hand_over().release()
        if self.stream is not None:
            self.stream.break_off()
        self.stream, self._large, self._whole, self.size = None, None, b"", 0

    def _too_large(self) -> Refusal:
        return 413, f"the body is larger than {self._policy.max_bytes} bytes"


_: type[IncomingBody] = Http1Body
