"""Processes that miss one answer at a time: one central call, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.fakes.counted_central import CountedCentral
from tests.fakes.redis_server import RedisServer
from tests.scenarios.stampede import ask, gateways, leases, outcomes
from tests.scenarios.world import until

pytestmark = [pytest.mark.redis, pytest.mark.e2e]


async def test_many_who_wait_in_two_processes_make_one_central_call(
    tmp_path: Path, redis: RedisServer
) -> None:
    """For each answer, and whatever Redis did when it was first needed."""
    async with (
        CountedCentral(delay_s=0.3) as central,
        gateways(tmp_path, 2, redis.url, central.port) as served,
    ):
        for number in (1, 2, 3):
            assert await ask(served, waiters=50, images=(number,)) == {200: 100}

            assert central.calls == number
            assert leases(served, "won") == number

    assert central.most_at_once == 1


@pytest.mark.nightly
async def test_500_who_wait_in_each_of_four_processes_make_one_call_per_expiry(
    tmp_path: Path, redis: RedisServer
) -> None:
    """The answer expires everywhere, in memory and in Redis, and is computed once more."""
    async with (
        CountedCentral(delay_s=0.5) as central,
        gateways(tmp_path, 4, redis.url, central.port, cache="\n  ttl_s: 20") as served,
        Redis.from_url(redis.url) as raw,
    ):
        for expiry in (1, 2, 3):
            assert await ask(served, waiters=500) == {200: 2000}

            assert central.calls == expiry, outcomes(served)
            assert leases(served, "won") + leases(served, "taken_over") == expiry
            while await raw.dbsize():
                await asyncio.sleep(0.05)


async def test_when_the_holder_is_killed_another_takes_over_as_its_lease_ends(
    tmp_path: Path, redis: RedisServer
) -> None:
    """kill -9: nobody gives its lease back. The other process waits for no more than that to end."""
    async with (
        CountedCentral() as central,
        gateways(tmp_path, 2, redis.url, central.port) as served,
    ):
        central.may_answer.clear()
        holder, other = served
        dying = asyncio.create_task(ask([holder], waiters=5))
        await until(lambda: central.calls == 1)
        waiting = asyncio.create_task(ask([other], waiters=5))
        while not await asyncio.to_thread(leases, [other], "lost"):
            await asyncio.sleep(0.01)
        assert central.calls == 1

        holder.signal(signal.SIGKILL)
        await until(lambda: central.calls == 2)
        central.may_answer.set()

        assert await waiting == {200: 5}
        assert await dying == {0: 5}
        assert (leases([other], "taken_over"), leases([other], "vain")) == (1, 0)
