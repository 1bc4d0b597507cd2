"""Requests that a peer has sent before the answers to earlier ones (HTTP/1.1 pipelining), within limits."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, Head
from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.address_limits import AddressUsage, Booked
from gateway.http.server.body_stream import BodyStream
from gateway.http.server.context import ServerContext

Request = tuple[Head, Http1RequestHead, Buffer | BodyStream, Booked]
Refused = tuple[None, Http1RequestHead | None, Answer]


class Http1Pipeline:
    """Requests, and refusals of requests, in their order.

    Reading pauses while ``max_pipelined`` of them wait, while some wait and the address uses more than half
    of its share of buffered bytes, and while what has come is not worked off. They count as running, and stay
    booked, from ``add`` to ``take``.
    ``is_paused``: reading is.
    """

    __slots__ = ("_context", "_is_behind", "_is_full", "_transport", "_usage", "_waiting", "is_paused")

    def __init__(self, context: ServerContext, transport: asyncio.Transport, usage: AddressUsage) -> None:
        self._context, self._transport, self._usage = context, transport, usage
        self._waiting: deque[Request | Refused] = deque()
        self._is_behind = self._is_full = self.is_paused = False

    def __repr__(self) -> str:
        return f"<Http1Pipeline {'paused' if self.is_paused else 'reading'}, {len(self)} waiting>"

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: Request | Refused) -> None:
        """Add a request behind the others. What it takes is booked already."""
        self._context.running += 1
        self._waiting.append(item)
        self._steer()

    def take(self) -> Request | Refused:
        """Remove and return the first."""
        self._context.running -= 1
        item = self._waiting.popleft()
        self._steer()
        return item

    def clear(self) -> None:
        """Forget all of them, and read on."""
        self._context.running -= len(self._waiting)
        for item in self._waiting:
            if item[0] is not None:
                item[3].release()
        self._waiting.clear()
        self.flow(True)

    def flow(self, flows: bool) -> None:  # noqa: FBT001 - what BodyStream calls
        """Pause reading, or go on, as the reader of a streamed body asks."""
        self._is_full = not flows
        self._steer()

    def lag(self, is_behind: bool) -> None:  # noqa: FBT001 - as ``flow``
        """Pause reading while something that has come is not worked off."""
        self._is_behind = is_behind
        self._steer()

    def _steer(self) -> None:
        # There are four reasons to pause; reading goes on when none of them is left.
        waiting = len(self._waiting)
        stops = self._is_behind or self._is_full or waiting >= self._context.settings.max_pipelined
        stops = stops or (waiting > 0 and self._usage.held > self._usage.high)
        if stops is self.is_paused or self._transport.is_closing():
            return
        self.is_paused = stops
        if stops:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
