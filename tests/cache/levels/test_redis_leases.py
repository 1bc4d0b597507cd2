"""Leases at a real Redis: bids that look once more, fills that compare, and a Redis that fails at either."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from cache.leases import Bid
from cache.levels.redis import RedisLevel
from cache.levels.redis_names import RedisNames
from gateway.core.cache_events import CacheLeased, CacheWriteLost
from tests.cache.build import SECRET, entry, looked_up
from tests.cache.levels.gates import RecordingGate
from tests.cache.levels.test_redis import KEY, OTHER, level_of
from tests.fakes.lying_redis import LyingRedis
from tests.fakes.redis_server import RedisServer
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

pytestmark = pytest.mark.redis

NAMES = RedisNames("edgeway", SECRET)
LEASE, VALUE = NAMES.lease(KEY), NAMES.of(KEY)
LONG_MS = 60_000


@pytest.fixture
async def raw(shared_redis: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(shared_redis.url) as client:
        await client.flushall()
        yield client
        await client.flushall()


@pytest.fixture
async def level(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> AsyncIterator[RedisLevel]:
    level = level_of(shared_redis, telemetry)
    yield level
    await level.aclose()


async def test_a_bid_wins_or_hears_who_was_first_and_looks_once_more(
    level: RedisLevel, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """In one round trip, of which no look-up is reported: the miss before it was."""
    assert await level.bid(KEY, b"a", LONG_MS) == Bid(0, None)
    await level.fill(OTHER, entry(now=time.time()), b"x")
    second = await level.bid(KEY, b"b", LONG_MS)
    assert second is not None
    assert 0 < second.left_ms <= LONG_MS

    filled = entry(answer("edge", 2.0), now=time.time())
    assert await level.fill(KEY, filled, b"a")
    await level.flush()
    pipelines = await raw.info("stats")
    third = await level.bid(KEY, b"b", LONG_MS)
    reads = (await raw.info("stats"))["total_reads_processed"] - pipelines["total_reads_processed"]

    assert third == Bid(0, filled.at("l2"))
    assert reads == 2  # the bid, and the INFO after it
    assert looked_up(telemetry) == []
    assert await raw.exists(NAMES.of(OTHER)) == 0
    assert telemetry.of(CacheLeased) == [CacheLeased("l2", "late")]


async def test_a_lease_is_given_back(level: RedisLevel, raw: Redis) -> None:
    """To the next, or to nobody."""
    await level.bid(KEY, b"a", LONG_MS)
    await level.release(KEY, b"a", is_abandoned=False)
    await level.flush()
    assert await level.bid(KEY, b"b", LONG_MS) == Bid(0, None)
    await level.release(KEY, b"b", is_abandoned=True)
    await level.flush()

    assert await level.bid(KEY, b"c", LONG_MS) == Bid(-1, None)
    assert await raw.get(LEASE) == b"-"


async def test_an_answer_that_cannot_be_written_keeps_nobody_waiting(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """The one who bids is told that its lease was of no use; one that is late is not an error."""
    level = level_of(shared_redis, telemetry, max_value_bytes=1024)
    large = entry(answer("edge", 1.0, region="r" * 2000), now=time.time())

    assert not await level.fill(KEY, large, b"a")
    assert not await level.fill(KEY, entry(now=time.time() - 1000), b"a")

    assert telemetry.of(CacheWriteLost) == [CacheWriteLost("l2", "too_large")]
    await level.aclose()


async def test_a_foreign_value_is_no_answer(level: RedisLevel, raw: Redis) -> None:
    """It is neither found nor in the way."""
    await raw.set(VALUE, b"garbage")

    assert await level.bid(KEY, b"a", LONG_MS) == Bid(0, None)


async def test_another_type_in_place_of_a_lease_is_none(level: RedisLevel, raw: Redis) -> None:
    """Then each computes for itself."""
    await raw.rpush(LEASE, "x")  # type: ignore[misc]

    assert await level.bid(KEY, b"a", LONG_MS) is None


async def test_who_may_run_no_scripts_gets_no_leases_and_keeps_its_hits(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """An ACL of before leases were."""
    await raw.execute_command(
        "ACL", "SETUSER", "plain", "on", ">secret", "~edgeway:*", "+getrange", "+set", "+unlink", "+ping"
    )
    server = shared_redis.url.replace("redis://", "redis://plain:secret@")
    level = level_of(type("At", (), {"url": server})(), telemetry)
    await level.put(KEY, entry(now=time.time()))
    await level.flush()

    assert await level.bid(KEY, b"a", LONG_MS) is None
    assert await level.get(KEY) is not None
    await level.aclose()
    await raw.execute_command("ACL", "DELUSER", "plain")


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_where_a_look_up_has_failed_nobody_bids(
    redis: RedisServer, telemetry: RecordingTelemetry, how: str
) -> None:
    """A second wait for the same Redis would say nothing new."""
    level = level_of(redis, telemetry, timeout_ms=100)
    await level.get(KEY)
    getattr(redis, how)()
    await level.get(KEY)
    gate = RecordingGate()

    assert await level.bid(KEY, b"a", LONG_MS) is None

    assert gate.admitted == 0
    redis.start() if how == "kill" else redis.resume()
    while await level.bid(KEY, b"a", LONG_MS) is None:
        await level.get(KEY)
    await level.aclose()


async def test_behind_a_shut_gate_nobody_bids(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """Nothing is sent."""
    gate = RecordingGate()
    level = level_of(shared_redis, telemetry, gate)
    gate.is_open = False

    assert await level.bid(KEY, b"a", LONG_MS) is None
    assert not await raw.exists(LEASE)
    await level.aclose()


@pytest.mark.parametrize("reply", [b"+OK\r\n", b"$1\r\nx\r\n", b"*1\r\n:1\r\n", b":x\r\n", b"-OOM full\r\n"])
async def test_a_redis_that_lies_grants_nothing(reply: bytes, telemetry: RecordingTelemetry) -> None:
    """A reply of another kind ends its connection; an error is an answer."""
    async with LyingRedis(reply) as server:
        level = level_of(server, telemetry)  # type: ignore[arg-type]

        assert await level.bid(KEY, b"a", LONG_MS) is None

        await level.aclose()
