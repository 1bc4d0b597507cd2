"""A body that is read while it comes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, MutableSequence
from typing import Any, Final, Self

from gateway.core.tensor import Buffer

_HIGH: Final = 256 << 10
"""Bytes that may wait for the reader before the peer is told to stop."""

_SMALL: Final = 1 << 10
_GATHERED: Final = 64 << 10


def gather(parts: MutableSequence[Any], part: Buffer) -> None:
    """Append a part; small ones become one. A body in parts of two bytes would take thirty times its size."""
    if len(part) < _SMALL and parts:
        if type(last := parts[-1]) is bytearray and len(last) < _GATHERED:
            last += part
            return
        parts.append(bytearray(part))
    else:
        parts.append(part)


class BodyStream(AsyncIterator[Buffer]):
    """Parts of a body in their order. ``flow`` is told to stop and to go on, as the reader keeps up.

    The iteration ends with the body; it raises ConnectionResetError when the peer left before.
    """

    def __init__(self, flow: Callable[[bool], None], *, high: int = _HIGH) -> None:
        self._flow, self._high = flow, high
        self._parts: deque[Buffer] = deque()
        self._size = 0
        self._is_over = self._is_broken = self._is_held = False
        self._reader: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        state = "broken" if self._is_broken else "over" if self._is_over else "open"
        return f"<BodyStream {state}, {self._size} bytes waiting>"

    def add(self, part: Buffer) -> None:
        """Take a part."""
        gather(self._parts, part)
        self._size += len(part)
        if self._size > self._high and not self._is_held:
            self._is_held = True
            self._flow(False)
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self._is_over = True
        self._wake()

    def break_off(self) -> None:
        """The rest will not come."""
        self._is_over = self._is_broken = True
        self._wake()

    def __aiter__(self) -> Self:
        """Return itself: a body is read once."""
        return self

    async def __anext__(self) -> Buffer:
        """Return the next part, waiting for it if need be."""
        while not self._parts:
            if self._is_broken:
                raise ConnectionResetError("the rest of the body never came")
            if self._is_over:
                raise StopAsyncIteration
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        part = self._parts.popleft()
        self._size -= len(part)
        if self._is_held and self._size <= self._high // 2:
            self._is_held = False
            self._flow(True)
        return part

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
