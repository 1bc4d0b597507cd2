"""Case `filters`: what the whole stack costs for an L1 hit, without any server around it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

import numpy as np
import uvloop

from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.service import Service
from loadtests.bench import world
from loadtests.bench.results import Result, Row, Spread, Target
from loadtests.bench.rounds import Bench, cores

CALLS: Final = 20_000
TARGET: Final = Target(60.0, at_least=False)


def measure(bench: Bench) -> Result:
    """Time single calls of the generation in force, pinned to one core."""
    settings = load_settings(world.write_settings(bench.folder, http_port=0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        rounds = uvloop.run(_calls(GatewayProcess(settings), bench.effort.rounds))
    finally:
        os.sched_setaffinity(0, before)
    medians = [float(np.percentile(times, 50)) for times in rounds]
    tails = [float(np.percentile(times, 99)) for times in rounds]
    row = Row.alone("all filters, L1 hit, one call, p50", "µs", TARGET, medians)
    return Result(rows=(row,), details={"p99_us": Spread.of(tails).median, "calls": CALLS})


async def _calls(process: GatewayProcess, rounds: int) -> list[list[float]]:
    async with process.serving() as gateway:
        service: Service = gateway.generation()
        request = world.request()
        first = await service(request)
        again = await service(request)
        if first.provenance.level or again.provenance.level != "l1":
            raise RuntimeError(f"not an L1 hit: {first.provenance} then {again.provenance}")
        measured = []
        for _ in range(rounds):
            times = []
            for _ in range(CALLS):
                began = time.perf_counter_ns()
                _ = await service(request)
                times.append((time.perf_counter_ns() - began) / 1000)
            measured.append(times)
            await asyncio.sleep(0)
        return measured
