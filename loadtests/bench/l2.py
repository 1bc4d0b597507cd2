"""Case `l2`: hits in Redis, as many at a time as a busy gateway has, against a bare pipeline of redis-py."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from typing import Final

import numpy as np
import uvloop
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cache.levels.level import Entry
from cache.levels.redis import RedisLevel
from cache.levels.redis_settings import RedisSettings
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from gateway.core.request import Provenance, Response
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from loadtests.bench import needs, servers
from loadtests.bench.results import Result, Row, Target
from loadtests.bench.rounds import Bench, cores

TARGET: Final = Target(0.6)
AT_ONCE: Final = 64
BATCHES: Final = 100
_SECRET: Final = bytes(range(32))


def measure(bench: Bench) -> Result:
    """Start a redis-server on the other core, and read from it in turn."""
    if shutil.which("redis-server") is None:
        raise needs.MissingError("not installed: redis-server (apt-get install redis-server)")
    ours_on, server_on = cores()
    before = os.sched_getaffinity(0)
    port = servers.free_port()
    command = ["taskset", "-c", str(server_on), "redis-server", "--port", str(port), "--save", ""]
    server = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL, cwd=bench.folder)
    os.sched_setaffinity(0, {ours_on})
    try:
        bare, hits = uvloop.run(_rounds(port, bench.effort.rounds))
    finally:
        os.sched_setaffinity(0, before)
        server.terminate()
        server.wait()
    row = Row.against(
        "redis-py, one pipeline of GETs",
        bare,
        what=f"hits in L2, {AT_ONCE} at a time",
        unit="1/s",
        target=TARGET,
        ours=hits,
        note="each hit is opened (AES-GCM), read and checked; redis-py only gets the bytes",
    )
    return Result(rows=(row,), details={"at_once": AT_ONCE, "batches": BATCHES})


async def _rounds(port: int, rounds: int) -> tuple[list[float], list[float]]:
    url = f"redis://127.0.0.1:{port}/0"
    level = RedisLevel(
        RedisSettings(url=url, timeout_ms=1000),
        _SECRET,
        gate=OpenGate(),
        clock=LoopClock(),
        telemetry=Silence(),
    )
    keys = [number.to_bytes(32, "big") for number in range(AT_ONCE)]
    scores = Tensor.from_numpy("scores", np.zeros((1, 10), np.float32))
    response = Response("digits", "1", (scores,), Provenance("edge", certified=True))
    until = time.time() + 3600
    held = Entry.of(response, soft_expiry=until, hard_expiry=until, compute_s=0.01)
    async with Redis.from_url(url) as client, asyncio.timeout(300):
        await _started(client)
        for key in keys:
            await level.put(key, held)
        await level.flush()
        names = [level.names.of(key) for key in keys]
        bare, hits = [], []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            for _ in range(BATCHES):
                await _get(client, names)
            bare.append(AT_ONCE * BATCHES / (time.perf_counter() - began))
            began = time.perf_counter()
            for _ in range(BATCHES):
                if None in await asyncio.gather(*map(level.get, keys)):
                    raise RuntimeError("L2 missed")
            hits.append(AT_ONCE * BATCHES / (time.perf_counter() - began))
    await level.aclose()
    return bare[1:], hits[1:]


async def _get(client: Redis, names: list[str]) -> None:
    pipeline = client.pipeline(transaction=False)
    for name in names:
        _ = pipeline.get(name)
    if None in await pipeline.execute():
        raise RuntimeError("redis-py missed")


async def _started(client: Redis) -> None:
    while True:
        try:
            _ = await client.ping()
        except RedisError:
            await asyncio.sleep(0.05)
        else:
            return
