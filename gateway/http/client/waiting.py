"""Calls that wait for a connection of a pool, in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from gateway.http.client.dialer import UnreachableError

C = TypeVar("C")


class WaitingCalls(Generic[C]):
    """One future for each call; it gets a connection, or the reason why there is none."""

    __slots__ = ("_futures", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._futures: deque[asyncio.Future[C]] = deque()

    def __repr__(self) -> str:
        return f"<WaitingCalls, {len(self)} waiting>"

    def __len__(self) -> int:
        return len(self._futures)

    def add(self) -> asyncio.Future[C]:
        """Let one more call wait, behind the others."""
        future: asyncio.Future[C] = self._loop.create_future()
        self._futures.append(future)
        return future

    def abandon(self, future: asyncio.Future[C]) -> C | None:
        """Let a call wait no longer, because it is cancelled; return the connection that it was given."""
        if future in self._futures:
            self._futures.remove(future)
        elif not future.cancelled() and future.exception() is None:
            return future.result()
        return None

    def give(self, connection: C) -> bool:
        """Give a connection to the first that still waits; return whether there was one."""
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(connection)
                return True
        return False

    def refuse(self, cause: BaseException | None) -> None:
        """Let every call fail: no connection can be had, because of ``cause``."""
        for future in self._futures:
            if not future.done():
                error = UnreachableError()
                error.__cause__ = cause
                future.set_exception(error)
        self._futures.clear()
