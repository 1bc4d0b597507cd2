"""The scripts of leases, run by a real Redis: who gets one, who may fill, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from cache.lease_commands import ABANDONED, ABANDONED_MS, NOBODYS, REFUSED, WON, fill, release, take
from cache.levels.replies import Word
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.redis

LEASE, VALUE = "t:lease:{t:a}", "t:a"
LONG_MS = 60_000


@pytest.fixture
async def redis_client(shared_redis: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(shared_redis.url) as client:
        await client.flushall()
        yield client
        await client.flushall()


async def run(client: Redis, command: tuple[Word, ...]) -> int:
    reply = await client.execute_command(*command)
    assert isinstance(reply, int)
    return reply


async def test_of_many_who_bid_one_wins_and_the_others_hear_for_how_long(redis_client: Redis) -> None:
    """At the same time, over connections of their own."""
    bids = [take(LEASE, b"%d" % each, LONG_MS) for each in range(50)]

    replies = await asyncio.gather(*(run(redis_client, bid) for bid in bids))

    assert replies.count(WON) == 1
    assert all(0 < left_ms <= LONG_MS for left_ms in replies if left_ms != WON)
    assert 0 < await redis_client.pttl(LEASE) <= LONG_MS


async def test_the_holder_fills_and_gives_the_lease_back(redis_client: Redis) -> None:
    """The value lives as long as it was told to."""
    await run(redis_client, take(LEASE, b"a", LONG_MS))

    assert await run(redis_client, fill(LEASE, b"a", VALUE, b"\x01\x00x", 5000)) == 1

    assert await redis_client.get(VALUE) == b"\x01\x00x"
    assert 0 < await redis_client.pttl(VALUE) <= 5000
    assert await redis_client.exists(LEASE) == 0


@pytest.mark.parametrize("then", ["ended", "taken over", "abandoned", "invalidated"])
async def test_a_late_fill_is_refused(redis_client: Redis, then: str) -> None:
    """Whatever has happened to the lease: nothing is written, and the lease of another is left alone."""
    await run(redis_client, take(LEASE, b"a", LONG_MS))
    if then == "abandoned":
        await run(redis_client, release(LEASE, b"a", is_abandoned=True))
    else:
        await redis_client.delete(LEASE)
    if then == "taken over":
        assert await run(redis_client, take(LEASE, b"b", LONG_MS)) == WON

    assert await run(redis_client, fill(LEASE, b"a", VALUE, b"x", 5000)) == REFUSED

    assert await redis_client.exists(VALUE) == 0
    if then == "taken over":
        assert await redis_client.get(LEASE) == b"b"
        assert await run(redis_client, fill(LEASE, b"b", VALUE, b"y", 5000)) == 1


async def test_it_ends_by_itself(redis_client: Redis) -> None:
    """Nobody waits for the dead."""
    await run(redis_client, take(LEASE, b"a", 1))
    while await redis_client.exists(LEASE):
        await asyncio.sleep(0.001)

    assert await run(redis_client, take(LEASE, b"b", LONG_MS)) == WON


async def test_what_is_given_back_is_the_next_ones(redis_client: Redis) -> None:
    """Only its holder can give it back."""
    await run(redis_client, take(LEASE, b"a", LONG_MS))

    await run(redis_client, release(LEASE, b"b", is_abandoned=False))
    assert await redis_client.get(LEASE) == b"a"
    await run(redis_client, release(LEASE, b"a", is_abandoned=False))
    assert await run(redis_client, take(LEASE, b"b", LONG_MS)) == WON


async def test_nobody_waits_for_what_cannot_be_shared(redis_client: Redis) -> None:
    """For a while all hear that there is nothing to wait for, then somebody tries again."""
    await run(redis_client, take(LEASE, b"a", LONG_MS))
    await run(redis_client, release(LEASE, b"a", is_abandoned=True))

    assert await run(redis_client, take(LEASE, b"b", LONG_MS)) == NOBODYS
    assert await redis_client.get(LEASE) == ABANDONED
    assert 0 < await redis_client.pttl(LEASE) <= ABANDONED_MS


async def test_what_has_no_end_is_no_lease(redis_client: Redis) -> None:
    """A string that somebody has left there would be waited for by everybody, for ever."""
    await redis_client.set(LEASE, b"?")

    assert await run(redis_client, take(LEASE, b"a", LONG_MS)) == WON
    assert 0 < await redis_client.pttl(LEASE) <= LONG_MS
