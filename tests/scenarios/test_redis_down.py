"""Redis is a cache, never the truth: whatever it does costs hits, never an answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.redis_server import RedisServer
from tests.scenarios.world import CONFIDENT, UNSURE, World

pytestmark = pytest.mark.redis


async def test_answer_outlives_the_gateway_in_redis(tmp_path: Path, redis: RedisServer) -> None:
    """What one gateway computed, the next one of the region finds."""
    async with World(tmp_path, redis=redis.url) as world:
        first = await world.ask(UNSURE)
    async with World(tmp_path, redis=redis.url) as world:
        again = await world.ask(UNSURE)

    assert (first.provenance.label, again.provenance.label) == ("central", "l2")
    assert again.provenance.origin == "central"
    assert again.outputs == first.outputs


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_no_answer_is_lost_while_redis_is_gone(tmp_path: Path, redis: RedisServer, how: str) -> None:
    """Dead or silent, Redis costs a bounded moment, then nothing; it is used again when it is back."""
    async with World(tmp_path, redis=redis.url) as world:
        getattr(redis, how)()
        image = CONFIDENT
        async with asyncio.timeout(20):
            while world.metric('edgeway_breaker_state{endpoint="redis"}') != 2:
                image += 1
                assert (await world.ask(image)).provenance.level == ""
                await asyncio.sleep(0.01)
        # Nobody waits for it now: not at all behind the open gate, and before that only one look-up for each
        # connection that was not made.
        assert world.metric('edgeway_cache_lookups_total{level="l2",outcome="error"}') <= 10
        reason = "refused" if how == "kill" else "timeout"
        assert world.metric(f'edgeway_breaker_open{{endpoint="redis",model="",reason="{reason}"}}') == 1

        redis.start() if how == "kill" else redis.resume()
        image += 100
        async with asyncio.timeout(20):
            while world.metric('edgeway_breaker_state{endpoint="redis"}') != 0:
                image += 1
                await world.ask(image)
                await asyncio.sleep(0.05)


async def test_garbage_is_a_miss_counted_and_deleted(tmp_path: Path, redis: RedisServer) -> None:
    """A value that is not ours under our key is never served."""
    from redis.asyncio import Redis

    async with World(tmp_path, redis=redis.url) as world:
        await world.ask(UNSURE)
    async with Redis.from_url(redis.url) as client:
        (key,) = [key async for key in client.scan_iter("*")]
        await client.set(key, b"\x93garbage")

    async with World(tmp_path, redis=redis.url) as world:
        response = await world.ask(UNSURE)
        assert response.provenance.label == "central"
        assert world.metric('edgeway_cache_lookups_total{level="l2",outcome="garbage"}') == 1
