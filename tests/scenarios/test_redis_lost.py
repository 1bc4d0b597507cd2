"""Redis is lost altogether, under ten times the usual misses: what is behind it is protected, and nobody fails.

What protects it stands before it in each process: equal misses are one flight, an endpoint gets no more at a
time than its bulkhead lets through, and retries are a share of what is under way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.fakes.counted_central import CountedCentral
from tests.fakes.lying_redis import LyingRedis
from tests.fakes.redis_server import RedisServer
from tests.scenarios.stampede import ask, gateways, leases

pytestmark = [pytest.mark.redis, pytest.mark.e2e]

AT_ONCE = 4
BULKHEAD = f"  bulkhead: {{max_concurrency: {AT_ONCE}, max_pending: 1000}}\n"
USUAL = 4
WAITERS = 5


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_ten_times_the_misses_reach_central_one_by_one(
    tmp_path: Path, redis: RedisServer, how: str
) -> None:
    """Each answer once per process, so many at a time, and each caller gets his."""
    async with (
        CountedCentral(delay_s=0.02) as central,
        gateways(tmp_path, 2, redis.url, central.port, more=BULKHEAD) as served,
    ):
        usual = range(USUAL)
        assert await ask(served, WAITERS, usual) == {200: 2 * WAITERS * USUAL}
        assert central.calls == USUAL

        getattr(redis, how)()
        lost = range(USUAL, 11 * USUAL)
        assert await ask(served, WAITERS, lost) == {200: 2 * WAITERS * 10 * USUAL}

        assert central.calls <= USUAL + 2 * 10 * USUAL
        assert central.most_at_once <= 2 * AT_ONCE
        assert leases(served, "vain") == 0


@asynccontextmanager
async def ill(how: str, redis: RedisServer) -> AsyncIterator[str]:
    """The URL of a Redis that is ill in this way."""
    if how.startswith("lies"):
        async with LyingRedis(b"$3\r\nabc\r\n" if how == "lies" else b":60000\r\n") as liar:
            yield liar.url
        return
    if how == "LOADING":
        async with LyingRedis(b"-LOADING Redis is loading the dataset in memory\r\n") as loading:
            yield loading.url
        return
    async with Redis.from_url(redis.url) as raw:
        if how == "OOM":
            await raw.config_set("maxmemory", "1")
        elif how == "READONLY":
            await raw.replicaof("127.0.0.1", "1")
            await raw.config_set("replica-serve-stale-data", "yes")
        yield redis.url


@pytest.mark.parametrize("how", ["OOM", "READONLY", "lies", "lies in numbers", "LOADING"])
async def test_whatever_redis_does_no_request_fails(tmp_path: Path, redis: RedisServer, how: str) -> None:
    """Without leases each process asks for itself: that is all that it costs."""
    async with (
        ill(how, redis) as url,
        CountedCentral() as central,
        gateways(tmp_path, 2, url, central.port, more=BULKHEAD) as served,
    ):
        for number in range(4):
            assert await ask(served, WAITERS, range(10 * number, 10 * number + 10)) == {200: 2 * WAITERS * 10}

        assert central.calls <= 2 * 40
        assert central.most_at_once <= 2 * AT_ONCE
