"""A body that is read while it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, MutableSequence
from typing import Any, Final, Self

from gateway.core.tensor import Buffer
from gateway.http.exchange import ConnectionClosing, RequestBody
from gateway.http.server.body_progress import BodyProgress
from gateway.http.server.settings import TransportSettings

HIGH: Final = 256 << 10
"""Bytes that may wait for the reader; with more, reading from the peer stops."""

_SMALL: Final = 1 << 10
_GATHERED: Final = 64 << 10


def gather(parts: MutableSequence[Any], part: Buffer) -> None:
    """Append a part, joining small ones: kept singly, parts of two bytes would need 30 times the memory."""
    if len(part) < _SMALL and parts:
        if type(last := parts[-1]) is bytearray and len(last) < _GATHERED:
            last += part
            return
        parts.append(bytearray(part))
    else:
        parts.append(part)


def _ignore(_size: int) -> None:
    """The default of ``taken`` and ``done``: nothing is counted."""


class BodyStream(RequestBody):
    """Parts of a body in their order.

    Args:
        flow: called with False when the peer has to stop, with True when it may go on.
        taken: called with the bytes that are handed to the reader.
        done: called with the bytes that the reader needs no more.
        high: bytes that may wait for the reader.
    """

    __slots__ = (
        "_came",
        "_done",
        "_flow",
        "_high",
        "_is_broken",
        "_is_held",
        "_is_over",
        "_last",
        "_parts",
        "_progress",
        "_reader",
        "_since",
        "_size",
        "_taken",
        "_within",
    )

    def __init__(
        self,
        flow: Callable[[bool], None],
        *,
        taken: Callable[[int], None] = _ignore,
        done: Callable[[int], None] = _ignore,
        high: int = HIGH,
    ) -> None:
        self._flow, self._taken, self._done, self._high = flow, taken, done, high
        self._parts: deque[Buffer] = deque()
        self._size = self._came = self._within = 0
        self._since = 0.0
        self._progress: BodyProgress | None = None
        self._last: int | None = None
        self._is_over = self._is_broken = self._is_held = False
        self._reader: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "broken" if self._is_broken else "over" if self._is_over else "open"
        return f"<BodyStream {state}, {self._size} bytes waiting>"

    def add(self, part: Buffer) -> None:
        """Add a part that has come."""
        gather(self._parts, part)
        self._size += len(part)
        self._came += len(part)
        if self._size > self._high and not self._is_held:
            self._is_held = True
            self._flow(False)
        self._wake()

    def end(self) -> None:
        """Note that the body is complete."""
        self._is_over = True
        self._wake()

    def break_off(self) -> None:
        """Note that the rest of the body will not come."""
        self._is_over = self._is_broken = True
        self._wake()

    def leave(self) -> None:
        """Wait for no message that begins from now on."""
        if self._last is None:
            self._last = self._came
            self._wake()

    @property
    def is_leaving(self) -> bool:
        """Whether ``leave`` was called."""
        return self._last is not None

    def within(self, size: int) -> None:
        """Note that ``size`` bytes of a message are there and the rest is waited for; 0: of none."""
        if size and not self._within:
            self._since = asyncio.get_running_loop().time()
            self._progress = None
        self._within = size

    def consumed(self, size: int) -> None:
        """Note that ``size`` bytes that were read are needed no more."""
        self._done(size)

    def is_late(self, now: float, settings: TransportSettings, *, is_held_back: bool = False) -> bool:
        """Whether the message that is waited for comes too slowly, or takes too long.

        ``is_held_back``: this side lets nothing come, so that only the time in all counts.
        """
        if not self._within:
            return False
        if self._progress is None:
            self._progress = BodyProgress(self._since)
        if is_held_back:
            self._progress.excuse(self._within, now)
        return self._progress.is_late(self._within, now, settings)

    def __aiter__(self) -> Self:
        """Return itself: a body is read once."""
        return self

    async def __anext__(self) -> Buffer:
        """Return the next part, waiting for it if need be."""
        while True:
            if not self._parts and self._is_broken:
                raise ConnectionResetError("the rest of the body never came")
            if not self._parts and self._is_over:
                raise StopAsyncIteration
            if self._last is not None and self._came - self._size - self._within >= self._last:
                raise ConnectionClosing
            if self._parts:
                break
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        part = self._parts.popleft()
        self._size -= len(part)
        self._taken(len(part))
        if self._is_held and self._size <= self._high // 2:
            self._is_held = False
            self._flow(True)
        return part

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
