"""What hedging is worth: a few slow requests, and the load that it adds.

    python -m loadtests.hedging

Two replicas that answer in 8 to 12 ms; 2 % of the requests take fifty times as long, at random, or all of
them do. Requests come at random times, whether or not those before are answered. Takes 20 s.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from gateway.core.clock import LoopClock
from gateway.core.request import Provenance, Request, Response
from gateway.core.telemetry import Silence
from resilience.budget import RetryBudget
from resilience.hedge import Hedge, HedgeSettings
from resilience.latencies import Latencies
from resilience.settings import BudgetSettings

RATE_RPS: Final = 500
SECONDS: Final = 4.0
_SLOWER: Final = 50
_ANSWER: Final = Response("any", "1", (), Provenance("central"))


class Replicas:
    """Answer late, and count what they are sent."""

    def __init__(self, slow_share: float, chance: Random) -> None:
        self._slow_share, self._chance = slow_share, chance
        self.sent = 0

    def __repr__(self) -> str:
        return f"<Replicas, {100 * self._slow_share:g} % slow, {self.sent} requests>"

    async def __call__(self, request: Request) -> Response:
        """Answer after some milliseconds."""
        self.sent += 1
        if request.chosen is not None:
            request.chosen.append("b" if "a" in request.tried else "a")
        seconds = self._chance.uniform(0.008, 0.012)
        await asyncio.sleep(seconds * (_SLOWER if self._chance.random() < self._slow_share else 1))
        return _ANSWER


async def run(slow_share: float, *, is_hedged: bool, seconds: float = SECONDS) -> tuple[list[float], float]:
    """Return what requests took, in order, and how often one was sent on average."""
    chance = Random(4)  # noqa: S311 - the same times in each run, not secrets
    replicas = Replicas(slow_share, chance)
    hedge = Hedge(
        "all",
        HedgeSettings(),
        latencies=Latencies(),
        budget=RetryBudget(BudgetSettings()),
        has_other=lambda request: len(request.tried) < 2,
        clock=LoopClock(),
        telemetry=Silence(),
    )
    took: list[float] = []

    async def one() -> None:
        began = time.perf_counter()
        request = Request("any", ())
        if is_hedged:
            _ = await hedge(request, replicas)
        else:
            _ = await replicas(request)
        took.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as asking:
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            asking.create_task(one())
            await asyncio.sleep(chance.expovariate(RATE_RPS))
    return sorted(took), replicas.sent / len(took)


async def _table() -> Table:
    table = Table("requests that are slow", "", "p50 ms", "p99 ms", "sent per request")
    for slow_share in (0.02, 1.0):
        for is_hedged in (False, True):
            took, load = await run(slow_share, is_hedged=is_hedged)
            at = [1000 * took[int(part * len(took))] for part in (0.5, 0.99)]
            name = "hedged" if is_hedged else "not hedged"
            table.add_row(f"{slow_share:.0%}", name, f"{at[0]:.1f}", f"{at[1]:.1f}", f"{load:.3f}")
    return table


if __name__ == "__main__":
    Console().print(uvloop.run(_table()))
