"""Processes that read logs in real Redis, as tests need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random

from cache.invalidation.invalidations import Invalidations
from cache.invalidation.log import RedisLog
from cache.invalidation.settings import InvalidationSettings
from gateway.core.clock import Clock, LoopClock
from gateway.core.telemetry import Silence, Telemetry


def settings_of(urls: Mapping[str, str], **changes: float) -> InvalidationSettings:
    """Logs that are read every 10 ms."""
    return InvalidationSettings(redis=dict(urls), **{"poll_ms": 10, **changes})  # type: ignore[arg-type]


def log_of(url: str, *, region: str = "eu", **changes: float) -> RedisLog:
    return RedisLog.of(region, settings_of({region: url}, **changes), LoopClock())


@asynccontextmanager
async def reading(
    region: str,
    urls: Mapping[str, str],
    *,
    clock: Clock | None = None,
    telemetry: Telemetry | None = None,
    **changes: float,
) -> AsyncIterator[Invalidations]:
    """A process in ``region`` that reads the logs at ``urls``."""
    invalidations = Invalidations(
        region,
        settings_of(urls, **changes),
        clock=clock or LoopClock(),
        chance=Random(1),
        telemetry=telemetry or Silence(),
    )
    await invalidations.start()
    try:
        yield invalidations
    finally:
        await invalidations.aclose()


async def run(url: str, *words: str) -> object:
    """Run one command, as anybody can who has the password of that Redis."""
    from redis.asyncio import Redis  # few tests need it

    client = Redis.from_url(url, protocol=2)
    try:
        return await client.execute_command(*words)
    finally:
        await client.aclose()


async def saved(url: str) -> dict[bytes, bytes]:
    """What a Redis holds, as a snapshot of it would."""
    from redis.asyncio import Redis  # few tests need it

    client = Redis.from_url(url, protocol=2)
    try:
        return {key: await client.dump(key) for key in await client.keys("*")}
    finally:
        await client.aclose()


async def restore(url: str, snapshot: Mapping[bytes, bytes]) -> None:
    """Have a Redis hold that, and nothing else, from one moment to the next."""
    from redis.asyncio import Redis  # few tests need it

    client = Redis.from_url(url, protocol=2)
    try:
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.flushall()
            for key, value in snapshot.items():
                pipeline.restore(key, 0, value)
            await pipeline.execute()
    finally:
        await client.aclose()


async def until(condition) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
