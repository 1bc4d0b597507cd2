"""LoopClock."""

from __future__ import annotations

import asyncio
import time

from gateway.core.clock import LoopClock
from tests.fakes.virtual_time import virtual_time


@virtual_time
async def test_clock_is_the_loops() -> None:
    """Deadlines and `asyncio.timeout_at` read the same clock."""
    clock = LoopClock()
    began = clock.now()

    await clock.sleep(3600)

    assert clock.now() - began == 3600
    assert clock.now() == asyncio.get_running_loop().time()
    assert clock.tick() <= time.perf_counter()
    assert abs(clock.wall() - time.time()) < 60


class Times:
    """A system's clocks: ``pass_`` moves both, ``set`` the time of day, ``suspend`` the time of day too."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_700_000_000.0, 50.0
        self.clock = LoopClock(lambda: self.wall, lambda: self.monotonic)
        self.began = self.clock.steady()

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    @property
    def steady_s(self) -> float:
        return self.clock.steady() - self.began


def test_steady_time_is_the_time_of_day_until_that_is_set_back() -> None:
    """Then it goes on, whether anybody looked meanwhile or not."""
    times = Times()
    assert times.clock.steady() == times.wall
    times.passes(600)

    times.wall -= 3600
    assert times.steady_s == 600
    times.passes(9)

    assert times.steady_s == 609
    assert times.clock.wall() == 1_700_000_000.0 + 609 - 3600


def test_steady_time_counts_what_a_suspended_machine_misses() -> None:
    """Only the time of day moved; it is seen within a second."""
    times = Times()
    times.wall += 7200
    assert 0 <= times.steady_s <= 7200
    times.passes(1)

    assert times.steady_s == 7201


def test_steady_time_never_goes_back() -> None:
    """Whatever the time of day does, and however often it is read."""
    times, last = Times(), 0.0
    for jump in (0, 100, -5000, 3, -86_400, 5100, 1e6, -1e6):
        times.wall += jump
        for _ in range(3):
            times.passes(0.4)
            assert times.steady_s >= last + 0.39
            last = times.steady_s
