"""Case `filters`: what the whole stack costs for an L1 hit, without any server around it."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import uvloop

from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.service import Service
from loadtests.bench import world
from loadtests.bench.rounds import cores

CALLS: Final = 20_000
ROUNDS: Final = 5
PROMISED_US: Final = 60.0


def measure(folder: Path) -> dict[str, Any]:
    """Time single calls of the generation in force, pinned to one core."""
    settings = load_settings(world.write_settings(folder, http_port=0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        rounds = uvloop.run(_calls(GatewayProcess(settings)))
    finally:
        os.sched_setaffinity(0, before)
    medians = [float(np.percentile(times, 50)) for times in rounds]
    tails = [float(np.percentile(times, 99)) for times in rounds]
    return {
        "p50_us": round(float(np.median(medians)), 2),
        "p50_us_range": [round(min(medians), 2), round(max(medians), 2)],
        "p99_us": round(float(np.median(tails)), 2),
        "promised_p50_us": PROMISED_US,
        "kept": float(np.median(medians)) <= PROMISED_US,
    }


async def _calls(process: GatewayProcess) -> list[list[float]]:
    async with process.serving():
        service: Service = process.generation()
        request = world.request()
        first = await service(request)
        again = await service(request)
        if first.provenance.level or again.provenance.level != "l1":
            raise RuntimeError(f"not an L1 hit: {first.provenance} then {again.provenance}")
        rounds = []
        for _ in range(ROUNDS):
            times = []
            for _ in range(CALLS):
                began = time.perf_counter_ns()
                _ = await service(request)
                times.append((time.perf_counter_ns() - began) / 1000)
            rounds.append(times)
            await asyncio.sleep(0)
        return rounds
