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
