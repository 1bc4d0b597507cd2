"""Counts of the last minute, from counts since the start: copies of them are taken now and then."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from gateway.core.clock import Clock

WINDOW_S: Final = 60.0
STEP_S: Final = 10.0
"""A copy is taken so often; the minute is that much longer or shorter."""

K = TypeVar("K")


class Lately(Generic[K]):
    """``read`` returns counts since the start, which only grow. Counting itself costs nothing more."""

    def __init__(self, read: Callable[[], Mapping[K, int]], clock: Clock) -> None:
        self._read, self._clock = read, clock
        self._copies: deque[tuple[float, dict[K, int]]] = deque()
        self.note()

    def __repr__(self) -> str:
        return f"<Lately {len(self._copies)} copies, {len(self._copies[-1][1])} counts>"

    def note(self) -> None:
        """Take a copy of the counts, and forget those from before the window but for the last of them."""
        now = self._clock.now()
        self._copies.append((now, dict(self._read())))
        while len(self._copies) > 1 and self._copies[1][0] <= now - WINDOW_S:
            self._copies.popleft()

    def counted(self) -> dict[K, int]:
        """Return what was counted in the last minute, or since the start where that is less."""
        before = self._copies[0][1]
        since = {name: count - before.get(name, 0) for name, count in self._read().items()}
        return {name: count for name, count in since.items() if count}

    async def watch(self) -> None:
        """Take copies for as long as the process runs."""
        while True:
            await self._clock.sleep(STEP_S)
            self.note()
