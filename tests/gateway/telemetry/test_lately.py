"""Counts of the last minute."""

from __future__ import annotations

import asyncio

from gateway.telemetry.lately import STEP_S, WINDOW_S, Lately
from tests.fakes.clock import VirtualClock
from tests.fakes.virtual_time import virtual_time


async def stopped(watching: asyncio.Task[None]) -> None:
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@virtual_time
async def test_only_the_last_minute_counts() -> None:
    """What came before it does not, and what nobody counted in it is not there."""
    counts = {"hit": 100}
    lately = Lately(lambda: counts, VirtualClock())
    watching = asyncio.create_task(lately.watch())
    assert lately.counted() == {}

    counts["hit"] += 5
    counts["miss"] = 1
    await asyncio.sleep(WINDOW_S / 2)
    assert lately.counted() == {"hit": 5, "miss": 1}

    await asyncio.sleep(WINDOW_S)
    counts["miss"] += 2
    assert lately.counted() == {"miss": 2}
    await stopped(watching)


@virtual_time
async def test_it_holds_no_more_copies_than_a_minute_has() -> None:
    """However long the process runs."""
    lately = Lately(lambda: {"hit": 1}, VirtualClock())
    watching = asyncio.create_task(lately.watch())

    await asyncio.sleep(100 * WINDOW_S)

    assert repr(lately) == f"<Lately {int(WINDOW_S / STEP_S) + 1} copies, 1 counts>"
    await stopped(watching)
