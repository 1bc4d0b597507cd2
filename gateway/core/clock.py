"""Time and chance as parameters, so that a test can own them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """A source of time. Deadlines and waits use ``now``; only what leaves the process uses ``wall``.

    ``now`` is as coarse as the loop's clock, which uvloop keeps in milliseconds.
    """

    def now(self) -> float:
        """Seconds of the running event loop's monotonic clock."""
        ...

    def tick(self) -> float:
        """Seconds of a fine timer, for measuring how long something took and nothing else."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds``; cancelling the wait is harmless."""
        ...


class LoopClock:
    """The clock of one event loop: the one in which it is first read."""

    def __init__(self) -> None:
        self._time: Callable[[], float] | None = None

    def now(self) -> float:
        """Return the loop's time: the same clock that ``asyncio.timeout_at`` reads."""
        if self._time is None:
            # Once: finding the running loop takes a system call.
            self._time = asyncio.get_running_loop().time
        return self._time()

    tick = staticmethod(time.perf_counter)

    def wall(self) -> float:
        """Return the system's time of day."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(seconds)


class Chance(Protocol):
    """A source of randomness; ``random.Random`` is one."""

    def random(self) -> float:
        """Return a float in [0, 1)."""
        ...

    def uniform(self, a: float, b: float) -> float:
        """Return a float between ``a`` and ``b``."""
        ...


_: type[Clock] = LoopClock
