"""What one turn of the loop works off of what a peer has sent at once; the rest comes after others' turns."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

_log = logging.getLogger(__name__)

TURN_S: Final = 0.002
"""Seconds after which no further portion is begun. A portion of hostile heads may take several times as long;
20 ms are the most that any request may hold the loop."""


class TurnTaker(Protocol):
    """A connection of which more has come than is little work."""

    def work(self, until: float) -> bool:
        """Work off one portion, and more of them until the time ``until``; return whether some are left.

        What is left stays so, and nothing more is read, until this was called often enough.
        """
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...


class TurnQueue:
    """Connections that have more to work off, one of them in each turn of the loop.

    ``tick``: seconds of a fine timer; the loop's own stands still during a turn.
    """

    __slots__ = ("_loop", "_tick", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: Callable[[], float]) -> None:
        self._loop, self._tick = loop, tick
        self._waiting: deque[TurnTaker] = deque()

    def __repr__(self) -> str:
        return f"<TurnQueue, {len(self._waiting)} waiting>"

    def begin(self, taker: TurnTaker) -> None:
        """Let ``taker`` begin at once, with a portion only while others wait, and go on in later turns."""
        if taker.work(self._tick() + (0 if self._waiting else TURN_S)):
            self._add(taker)

    def _add(self, taker: TurnTaker) -> None:
        self._waiting.append(taker)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        taker = self._waiting[0]
        has_more = False
        try:
            has_more = taker.work(self._tick() + TURN_S)
        except Exception:  # noqa: BLE001 - one that fails must not stop the others
            _log.exception("a connection could not go on, and ends")
            taker.abort()
        self._waiting.popleft()
        if has_more:
            self._waiting.append(taker)
        if self._waiting:
            self._loop.call_soon(self._go_on)
