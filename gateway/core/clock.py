"""Time and chance as parameters, so that a test can own them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

_LOOK_S: Final = 1.0


class Clock(Protocol):
    """A source of time. Deadlines use ``now``, expiries ``steady``, and what leaves the process ``wall``.

    ``now`` is as coarse as the loop's clock, which uvloop keeps in milliseconds.
    """

    def now(self) -> float:
        """Seconds of the running event loop's monotonic clock."""
        ...

    def tick(self) -> float:
        """Seconds of a fine timer, for measuring how long something took and nothing else."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch, as the system has them now: they may jump either way."""
        ...

    def steady(self) -> float:
        """Seconds that never go back, for expiries: what has expired stays so.

        As long as the system's clock is never set back they are seconds since the Unix epoch.
        """
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds``; cancelling the wait is harmless."""
        ...


class LoopClock:
    """The clock of one event loop: the one in which it is first read.

    ``wall`` and ``monotonic`` are the system's. Steady time runs as ``monotonic`` does, which nobody can set
    but which may stand still while the machine is suspended. So it goes along when ``wall`` is found ahead,
    within a second, and never when that is found behind.
    """

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._time: Callable[[], float] | None = None
        self._wall, self._monotonic = wall, monotonic
        self._ahead_s = float("-inf")
        self._look_s = float("-inf")

    def now(self) -> float:
        """Return the loop's time: the same clock that ``asyncio.timeout_at`` reads."""
        if self._time is None:
            # Once: finding the running loop takes a system call.
            self._time = asyncio.get_running_loop().time
        return self._time()

    tick = staticmethod(time.perf_counter)

    def wall(self) -> float:
        """Return the system's time of day."""
        return self._wall()

    def steady(self) -> float:
        """Return the time by which answers expire."""
        now = self._monotonic()
        if now >= self._look_s:
            self._look_s = now + _LOOK_S
            self._ahead_s = max(self._ahead_s, self._wall() - now)
        return now + self._ahead_s

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
