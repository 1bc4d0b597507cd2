"""Looking after a name."""

from __future__ import annotations

import asyncio

from gateway.app.refreshing import Refresher
from gateway.core.clock import LoopClock
from tests.fakes.virtual_time import virtual_time


class Target:
    def __init__(self, *troubles: Exception) -> None:
        self.count = 0
        self.troubles = list(troubles)

    async def refresh(self) -> None:
        self.count += 1
        if self.troubles:
            raise self.troubles.pop(0)


@virtual_time
async def test_it_is_done_every_few_seconds_until_the_end() -> None:
    """Nothing before the first interval is over, nothing after it was closed."""
    target = Target()
    refresher = Refresher(target, 5, LoopClock())
    refresher.start()
    refresher.start()
    await asyncio.sleep(16)
    assert (target.count, repr(refresher)) == (3, "<Refresher every 5 s, running>")

    await refresher.aclose()
    await asyncio.sleep(60)

    assert target.count == 3


@virtual_time
async def test_troubles_do_not_end_it() -> None:
    """Name servers break, and so may we; only the latter is worth a line."""
    target = Target(OSError("nobody knows"), KeyError("bug"))
    refresher = Refresher(target, 5, LoopClock())
    refresher.start()

    await asyncio.sleep(16)

    assert target.count == 3
    await refresher.aclose()
    await Refresher(target, 5, LoopClock()).aclose()
