"""L2 against a real redis-server that is stopped, killed, filled and lied to."""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from cache.levels.envelope import Envelope
from cache.levels.level import LevelError
from cache.levels.redis import WRITE_BACKLOG, RedisLevel
from cache.levels.redis_names import RedisNames
from cache.levels.redis_settings import RedisSettings
from gateway.core.cache_events import (
    CacheConnectionClosed,
    CacheSealRejected,
    CacheWriteHeldBack,
    CacheWriteLost,
)
from gateway.core.clock import LoopClock
from gateway.core.gate import Gate, OpenGate
from gateway.core.request import Provenance, Response
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET, StepClock, entry, looked_up
from tests.cache.levels.gates import RecordingGate
from tests.cache.levels.test_replies import LIES
from tests.fakes.calls import counted_calls
from tests.fakes.lying_redis import PONG, LyingRedis
from tests.fakes.redis_server import RedisServer
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

pytestmark = pytest.mark.redis

KEY, OTHER = bytes(range(32)), bytes(32)
UNHURRIED_MS = 10_000
"""The limit of a look-up in tests that are not about it: a busy machine never reaches it."""

MOST_CALLS = 10_000
"""Functions that the look-up of one lie may call, the server's side of it with them."""

HANG_S = 60
"""After so long a test takes a call for hanging: none of those limits is a tenth of it."""


def name(key: bytes = KEY) -> str:
    return RedisNames("edgeway", SECRET).of(key)


def level_of(
    server: RedisServer,
    telemetry: RecordingTelemetry,
    gate: Gate | None = None,
    secret: bytes = SECRET,
    previous: tuple[bytes, ...] = (),
    **settings: Any,
) -> RedisLevel:
    settings = {"timeout_ms": UNHURRIED_MS, **settings}
    return RedisLevel(
        RedisSettings(url=server.url, **settings),
        secret,
        gate=gate or OpenGate(),
        clock=LoopClock(),
        telemetry=telemetry,
        previous=previous,
    )


def fresh(value: float = 1.0, **changes: Any) -> Any:
    return entry(answer("edge", value), now=time.time(), **changes)


@pytest.fixture
async def raw(shared_redis: RedisServer) -> AsyncIterator[Redis]:
    """A plain client of the shared server, which it leaves empty."""
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


async def test_what_was_put_is_read_by_another_gateway(
    level: RedisLevel, shared_redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """Two gateways with one secret share answers, marked as l2."""
    held = fresh()
    await level.put(KEY, held)
    await level.flush()
    other = level_of(shared_redis, telemetry)

    assert await other.get(KEY) == held.at("l2")
    assert await other.get(OTHER) is None
    assert looked_up(telemetry) == ["l2 miss"]
    await other.aclose()


async def test_it_vanishes_at_its_hard_expiry(level: RedisLevel, raw: Redis) -> None:
    """PX is set to the hard expiry; an entry already past it is not written."""
    await level.put(KEY, fresh(fresh_s=10, stale_s=5))
    await level.put(OTHER, fresh(fresh_s=-10, stale_s=5))
    await level.flush()

    assert 14_000 < await raw.pttl(name()) <= 15_001
    assert not await raw.exists(name(OTHER))


async def test_gateways_with_clocks_apart_agree_on_what_is_fresh(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """A gateway whose clock was set back writes what others read rightly, and Redis forgets it in time."""
    clock, other_clock = StepClock(time.time()), StepClock(time.time())
    level, other = (
        RedisLevel(
            RedisSettings(url=shared_redis.url, timeout_ms=UNHURRIED_MS),
            SECRET,
            gate=OpenGate(),
            clock=each,
            telemetry=telemetry,
        )
        for each in (clock, other_clock)
    )
    other_clock.set_back(3600)
    for each in (clock, other_clock):
        each.step(4000)

    await level.put(KEY, entry(now=clock.steady(), fresh_s=60, stale_s=30))
    await level.flush()
    await other.put(OTHER, entry(now=other_clock.steady(), fresh_s=60, stale_s=30))
    await other.flush()
    theirs, ours = await other.get(KEY), await level.get(OTHER)

    assert 85_000 < await raw.pttl(name(OTHER)) <= 90_000
    assert ours is not None and theirs is not None
    assert ours.soft_expiry == pytest.approx(clock.wall() + 60 - 3600)
    assert theirs.soft_expiry == pytest.approx(other_clock.steady() + 60)
    await level.aclose()
    await other.aclose()


async def test_delete_removes_it(level: RedisLevel, raw: Redis) -> None:
    """A put followed by a delete leaves nothing: writes keep their order."""
    await level.put(KEY, fresh())
    await level.delete(KEY)
    await level.flush()

    assert not await raw.exists(name())


@pytest.mark.parametrize(
    "value",
    [b"garbage", b"\x02", b"\x02" + bytes(100), b"\xff" * 5000, b"\x02" * (1 << 20), b"x" * (5 << 20)],
    ids=["noise", "version only", "zeros", "ones", "at the size limit", "huge"],
)
async def test_garbage_is_a_miss_counted_and_deleted(
    level: RedisLevel, raw: Redis, telemetry: RecordingTelemetry, value: bytes
) -> None:
    """Foreign bytes under our key cost a hit, once."""
    await raw.set(name(), value)

    assert await level.get(KEY) is None

    await level.flush()
    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 garbage", "l2 miss"]


@pytest.mark.parametrize("version", [1, 3])
async def test_a_value_of_another_build_is_a_miss_and_stays(
    level: RedisLevel, raw: Redis, telemetry: RecordingTelemetry, version: int
) -> None:
    """Old and new gateways may share a Redis: neither deletes what the other can read."""
    await raw.set(name(), bytes([version]) * 200)

    assert await level.get(KEY) is None

    await level.flush()
    assert looked_up(telemetry) == ["l2 miss"]
    assert telemetry.of(CacheSealRejected) == [CacheSealRejected("l2", "version")]
    assert await raw.exists(name())
    await level.put(KEY, fresh())
    await level.flush()
    assert await level.get(KEY) is not None, "what we write takes its place"


async def test_nothing_readable_is_in_redis(level: RedisLevel, raw: Redis) -> None:
    await level.put(KEY, entry(Response("secret-model", "1", (), Provenance("edge")), now=time.time()))
    await level.flush()

    [stored] = await raw.keys()
    value = await raw.get(stored)
    assert KEY.hex().encode() not in stored
    assert b"secret-model" not in value and b"edge" not in value


async def test_a_secret_changes_without_a_flush(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """Three rounds: the next secret is read, then it seals and the old is read, then the old is gone."""
    new = b"n" * 32
    before = level_of(shared_redis, telemetry, previous=(new,))
    after = level_of(shared_redis, telemetry, secret=new, previous=(SECRET,))
    last = level_of(shared_redis, telemetry, secret=new)
    ours, theirs = fresh(1.0), fresh(2.0)
    await before.put(KEY, ours)
    await after.put(OTHER, theirs)
    await before.flush()
    await after.flush()

    for level in (before, after):
        assert await level.get(KEY) == ours.at("l2")
        assert await level.get(OTHER) == theirs.at("l2")
    assert await last.get(KEY) is None
    assert await last.get(OTHER) == theirs.at("l2")
    assert looked_up(telemetry) == ["l2 miss"]

    await after.delete(KEY)
    await after.flush()
    assert await before.get(KEY) is None, "a deletion takes what any secret has sealed"
    for level in (before, after, last):
        await level.aclose()


async def test_secrets_cost_commands_and_no_round_trips(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    gate = RecordingGate()
    level = level_of(shared_redis, telemetry, gate, previous=(b"a" * 32, b"b" * 32))

    assert await level.get(KEY) is None

    assert gate.verdicts == ["succeeded"]
    assert looked_up(telemetry) == ["l2 miss"]
    await level.aclose()


async def test_a_doorkeeper_writes_at_the_second_sight(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """What is made once costs Redis nothing, and is counted."""
    level = level_of(shared_redis, telemetry, doorkeeper=True)
    for key in (KEY, OTHER, KEY):
        await level.put(key, fresh())
    await level.flush()

    assert await raw.exists(name(KEY))
    assert not await raw.exists(name(OTHER))
    assert telemetry.of(CacheWriteHeldBack) == [CacheWriteHeldBack("l2")] * 2
    await level.aclose()


async def test_the_documented_acl_suffices(redis: RedisServer, telemetry: RecordingTelemetry) -> None:
    """The line of docs/operating.md, as it stands there."""
    page = Path(__file__).parents[3].joinpath("docs/operating.md").read_text()
    line = page.partition("`ACL SETUSER ")[2].partition("`")[0].replace("\\|", "|")
    async with Redis.from_url(redis.url) as raw:
        await raw.execute_command("ACL", "SETUSER", *line.split())
    settings = RedisSettings(
        url=redis.url.replace("//", "//edgeway:PASSWORD@") + "?client_name=edge", timeout_ms=UNHURRIED_MS
    )
    level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)
    await level.put(KEY, fresh())
    await level.flush()
    assert await level.get(KEY) is not None
    await level.delete(KEY)
    await level.flush()
    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 miss"]
    assert telemetry.of(CacheWriteLost) == []
    await level.aclose()


async def test_a_huge_value_is_not_read(level: RedisLevel, raw: Redis) -> None:
    """No more than max_value_bytes of a foreign value ever cross the wire."""
    await raw.set(name(), b"x" * (20 << 20))
    before = (await raw.info("stats"))["total_net_output_bytes"]

    assert await level.get(KEY) is None

    after = (await raw.info("stats"))["total_net_output_bytes"]
    assert (1 << 20) < after - before < (2 << 20)


@pytest.mark.parametrize("kind", ["list", "set", "hash", "zset", "stream"])
async def test_another_type_is_garbage(
    level: RedisLevel, raw: Redis, telemetry: RecordingTelemetry, kind: str
) -> None:
    """A key of another type is garbage, and its neighbours in the pipeline are read all the same."""
    await {
        "list": lambda: raw.rpush(name(), "a"),
        "set": lambda: raw.sadd(name(), "a"),
        "hash": lambda: raw.hset(name(), "a", "b"),
        "zset": lambda: raw.zadd(name(), {"a": 1}),
        "stream": lambda: raw.xadd(name(), {"a": "b"}),
    }[kind]()
    held = fresh()
    await level.put(OTHER, held)
    await level.flush()

    wrong, right = await asyncio.gather(level.get(KEY), level.get(OTHER))

    assert wrong is None
    assert right == held.at("l2")
    assert looked_up(telemetry) == ["l2 garbage"]
    await level.flush()
    assert not await raw.exists(name())


async def test_truncated_flipped_and_copied_values_are_garbage(
    level: RedisLevel, raw: Redis, telemetry: RecordingTelemetry
) -> None:
    """A cut envelope, one with a flipped bit in a tensor, and one of another key are never served."""
    blob = Envelope(SECRET, "l2").seal(KEY, fresh(value=7.0))
    flipped = bytearray(blob)
    flipped[-3] ^= 1

    for key, value in ((KEY, blob[:-10]), (KEY, bytes(flipped)), (OTHER, blob)):
        await raw.set(name(key), value)
        assert await level.get(key) is None
        await level.flush()
        assert not await raw.exists(name(key))

    assert looked_up(telemetry) == ["l2 garbage"] * 3


async def test_a_stranger_with_write_access_cannot_forge(
    level: RedisLevel, raw: Redis, telemetry: RecordingTelemetry
) -> None:
    """An envelope sealed without the secret is garbage, where a stranger has found out the name."""
    await raw.set(name(), Envelope(bytes(32), "l2").seal(KEY, fresh()))

    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 garbage"]


async def test_a_stranger_reads_no_names(
    level: RedisLevel, shared_redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """Who has another secret does not even look where ours are."""
    stranger = level_of(shared_redis, telemetry, secret=bytes(32))
    await stranger.put(KEY, fresh())
    await stranger.aclose()

    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 miss"]


async def test_a_value_beyond_the_limit_is_not_written(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """max_value_bytes bounds what is written."""
    level = level_of(shared_redis, telemetry, max_value_bytes=1024)
    large = Tensor("p", "UINT8", (2000,), bytes(2000))
    await level.put(KEY, entry(Response("m", "1", (large,), Provenance("edge")), now=time.time()))
    await level.aclose()

    assert await raw.dbsize() == 0
    assert telemetry.of(CacheWriteLost) == [CacheWriteLost("l2", "too_large")]


async def test_an_answer_that_cannot_be_packed_is_a_lost_write(level: RedisLevel, raw: Redis) -> None:
    """An answer that the envelope refuses is counted and raises nothing."""
    odd = Response("m", "1", (), Provenance("edge"), {"p": 2**70})

    await level.put(KEY, entry(odd, now=time.time()))

    assert "1 writes lost" in repr(level)
    assert await raw.dbsize() == 0


async def test_concurrent_gets_share_pipelines(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """A hundred gets of one tick are one round trip."""
    gate = RecordingGate()
    level = level_of(shared_redis, telemetry, gate)

    await asyncio.gather(*(level.get(bytes([number]) * 32) for number in range(100)))

    assert gate.verdicts == ["succeeded"]
    await level.aclose()


async def test_a_shut_gate_skips(shared_redis: RedisServer, telemetry: RecordingTelemetry) -> None:
    """While the breaker is open a look-up is skipped at once, and a write is lost."""
    gate = RecordingGate()
    gate.is_open = False
    level = level_of(shared_redis, telemetry, gate)

    assert await level.get(KEY) is None
    await level.put(KEY, fresh())

    assert looked_up(telemetry) == ["l2 skipped"]
    assert "1 writes lost" in repr(level)
    await level.aclose()


async def test_stopped_redis_costs_the_timeout_and_no_answer(
    redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """SIGSTOP: each look-up ends within the timeout as an error; after SIGCONT it finds again."""
    gate = RecordingGate()
    level = level_of(redis, telemetry, gate, timeout_ms=500)
    held = fresh()
    await level.put(KEY, held)
    await level.flush()
    assert await level.get(KEY) == held.at("l2")
    redis.pause()

    async with asyncio.timeout(HANG_S):
        found = await asyncio.gather(*(level.get(KEY) for _ in range(50)))

    assert found == [None] * 50
    assert gate.verdicts == ["succeeded", "succeeded", "failed"]
    redis.resume()
    assert await level.get(KEY) == held.at("l2")
    await level.aclose()


async def test_writes_to_a_stopped_redis_are_bounded(
    redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """While Redis stands still, no more than the backlog waits; the rest is dropped and counted."""
    level = level_of(redis, telemetry, timeout_ms=60, max_value_bytes=4096)
    redis.pause()
    large = entry(
        Response("m", "1", (Tensor("p", "UINT8", (3000,), bytes(3000)),), Provenance("edge")), now=time.time()
    )

    async with asyncio.timeout(HANG_S):
        for number in range(100):
            await level.put(number.to_bytes(32, "big"), large)
    backlog = level.backlog_bytes

    assert 0 < backlog <= WRITE_BACKLOG * 4096
    await level.aclose()
    assert level.backlog_bytes == 0
    assert "100 writes lost" in repr(level)
    redis.resume()


async def test_killed_redis_costs_hits_until_it_is_back(
    redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """SIGKILL: look-ups are errors at once; when Redis is back, the same level works again."""
    level = level_of(redis, telemetry)
    await level.put(KEY, fresh())
    await level.flush()
    redis.kill()

    async with asyncio.timeout(HANG_S):
        assert await level.get(KEY) is None
        await level.put(KEY, fresh())
        await level.flush()
    assert looked_up(telemetry) == ["l2 error"]

    redis.start()
    held = fresh()
    await level.put(KEY, held)
    await level.flush()
    assert await level.get(KEY) == held.at("l2")
    await level.aclose()


async def test_a_gateway_starts_without_redis(redis: RedisServer, telemetry: RecordingTelemetry) -> None:
    """Nothing is connected before the first command, and a missing server is only an error look-up."""
    redis.kill()

    level = level_of(redis, telemetry)

    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 error"]
    redis.start()
    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 error", "l2 miss"]
    await level.aclose()


async def test_full_redis_loses_writes_and_still_reads(telemetry: RecordingTelemetry) -> None:
    """OOM under noeviction: writes are counted as lost, reads go on, the gate hears no failure."""
    with RedisServer("--maxmemory-policy", "noeviction") as server:
        gate = RecordingGate()
        level = level_of(server, telemetry, gate)
        held = fresh()
        await level.put(KEY, held)
        await level.flush()
        async with Redis.from_url(server.url) as raw:
            await raw.config_set("maxmemory", "1")

        await level.put(OTHER, held)
        await level.flush()

        assert await level.get(KEY) == held.at("l2")
        assert await level.get(OTHER) is None
        assert "1 writes lost" in repr(level)
        assert "failed" not in gate.verdicts
        await level.aclose()


async def test_read_only_redis_loses_writes_and_still_reads(
    redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """READONLY: a replica answers reads; a write is tried once more and counted as lost."""
    level = level_of(redis, telemetry)
    held = fresh()
    await level.put(KEY, held)
    await level.flush()
    async with Redis.from_url(redis.url) as raw:
        await raw.config_set("replica-serve-stale-data", "yes")
        await raw.execute_command("REPLICAOF", "127.0.0.1", "1")

    await level.put(OTHER, held)
    await level.flush()

    assert await level.get(KEY) == held.at("l2")
    assert "1 writes lost" in repr(level)
    await level.aclose()


@pytest.mark.parametrize(("later", "lost"), [(b"+OK\r\n", 0), (b"-READONLY not here\r\n", 3)])
async def test_writes_that_meet_a_replica_are_sent_once_more(
    later: bytes, lost: int, telemetry: RecordingTelemetry
) -> None:
    """On the connection that is made anew; where that leads to a replica too they are lost."""
    async with LyingRedis(b"-READONLY not here\r\n" * 3, later=later * 3) as server:
        settings = RedisSettings(url=server.url, timeout_ms=UNHURRIED_MS)
        level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)
        for _ in range(3):
            await level.put(KEY, fresh())
        await level.flush()

        assert server.connections == 2
        assert telemetry.of(CacheWriteLost) == [CacheWriteLost("l2", "error")] * lost
        assert level.backlog_bytes == 0
        await level.aclose()


HOSTILE = {
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "no permission": b"-NOPERM this user has no permissions\r\n",
    "authentication": b"-NOAUTH Authentication required.\r\n",
    "master down": b"-MASTERDOWN Link with MASTER is down\r\n",
    "moved": b"-MOVED 1 127.0.0.1:1\r\n",
    "integer": b":7\r\n",
    "null": b"$-1\r\n",
    "list": b"*1\r\n$1\r\na\r\n",
    "status": b"+OK\r\n",
    "half a reply": b"$100\r\nabc",
    "huge bulk": b"$536870912\r\nabc",
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "two replies": b"$3\r\nabc\r\n$3\r\nabc\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("when", ["later", "from the start"])
@pytest.mark.parametrize("reply", (HOSTILE | LIES).values(), ids=(HOSTILE | LIES).keys())
async def test_a_hostile_server_costs_hits_only(
    reply: bytes, when: str, telemetry: RecordingTelemetry
) -> None:
    """Whatever comes back instead of a value, a look-up ends in time with nothing."""
    async with LyingRedis(reply, greeting=PONG if when == "later" else reply) as server:
        settings = RedisSettings(url=server.url, timeout_ms=60, connect_timeout_ms=60)
        level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)

        for _ in range(3):
            async with asyncio.timeout(HANG_S):
                assert await level.get(KEY) is None
        await level.put(KEY, fresh())
        await level.flush()

        assert {event.split()[1] for event in looked_up(telemetry)} <= {"error", "garbage", "miss", "skipped"}
        await level.aclose()


@pytest.mark.parametrize("reply", LIES.values(), ids=LIES.keys())
async def test_a_lie_costs_the_loop_next_to_nothing(reply: bytes, telemetry: RecordingTelemetry) -> None:
    """Neither work, which is counted in calls, nor memory goes into what a reply announces."""
    async with LyingRedis(reply[: 1 << 18]) as server:
        settings = RedisSettings(url=server.url, timeout_ms=1000)
        level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)
        assert await level.get(KEY) is None
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with counted_calls() as calls:
            for _ in range(20):
                assert await level.get(KEY) is None
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
        await level.aclose()

    assert calls.number / 20 < MOST_CALLS
    assert grown_kib < 32 << 10


async def test_a_lying_server_fills_no_log(
    telemetry: RecordingTelemetry, caplog: pytest.LogCaptureFixture
) -> None:
    """A lie that changes with every reply is logged once a second at most, and counted each time."""
    async with LyingRedis(b"") as server:
        settings = RedisSettings(url=server.url, timeout_ms=UNHURRIED_MS)
        level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)
        for number in range(20):
            server.reply = b"-ERR \x1b[31m%d\r\n" % number if number % 2 else b"*%d\r\n" % number
            assert await level.get(KEY) is None
        await level.aclose()

    logged = [record.getMessage() for record in caplog.records if record.name == "edgeway.redis"]
    assert 1 <= len(logged) <= 3
    assert not any("\x1b" in text for text in logged)
    assert looked_up(telemetry).count("l2 error") == 20
    assert telemetry.of(CacheConnectionClosed) == [CacheConnectionClosed("l2", "protocol")] * 10


async def test_a_thousand_cancelled_gets_cross_no_wires(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """Callers that leave at random moments never make another caller's answer come to the wrong key."""
    rng = random.Random(5)
    level = level_of(shared_redis, telemetry, max_connections=4)
    keys = [bytes([number]) * 32 for number in range(50)]
    for number, key in enumerate(keys):
        await level.put(key, fresh(value=float(number)))
    await level.flush()
    assert await level.get(keys[0]) is not None
    wrong = cancelled = found = 0

    async def read(number: int) -> None:
        nonlocal wrong, found
        held = await level.get(keys[number])
        assert held is not None
        found += 1
        wrong += float(held.response.outputs[0].numpy()[0, 0]) != number

    async def leave(task: asyncio.Task[None], turns: int) -> None:
        nonlocal cancelled
        for _ in range(turns):
            await asyncio.sleep(0)
        cancelled += task.cancel()

    readers, leavers = [], []
    for turn in range(3000):
        task = asyncio.create_task(read(rng.randrange(50)))
        readers.append(task)
        if turn % 3 == 0:
            leavers.append(asyncio.create_task(leave(task, rng.randrange(10))))
        if turn % 10 == 0:
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*readers, return_exceptions=True)
    await asyncio.gather(*leavers)

    assert len(leavers) == 1000 and cancelled > 100
    assert wrong == 0
    assert found == 3000 - sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert looked_up(telemetry) == []
    assert await raw.dbsize() == 50
    await level.aclose()


async def test_a_cancelled_get_leaves_the_level_clean(
    redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """A caller who leaves while Redis stands still leaves nothing behind once the limit has passed."""
    level = level_of(redis, telemetry, timeout_ms=60)
    redis.pause()
    waiting = asyncio.create_task(level.get(KEY))
    await asyncio.sleep(0.01)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    await level.flush()
    assert "reads <AutoPipeline 0 of 31 running, 0 gathering>" in repr(level)
    assert looked_up(telemetry) == []
    redis.resume()
    await level.aclose()


async def test_aclose_waits_for_writes(
    shared_redis: RedisServer, telemetry: RecordingTelemetry, raw: Redis
) -> None:
    """What was put before the close is in Redis after it; what comes later is skipped."""
    level = level_of(shared_redis, telemetry)
    for number in range(100):
        await level.put(bytes([number]) * 32, fresh())

    await level.aclose()

    assert await raw.dbsize() == 100
    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 skipped"]


async def test_the_url_cannot_lift_the_bounds(
    shared_redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """A query string in the URL does not override timeouts, connections or protocol."""
    settings = RedisSettings(
        url=f"{shared_redis.url}?socket_timeout=60&max_connections=9999&protocol=3", timeout_ms=500
    )
    level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)
    assert await level.get(KEY) is None
    assert looked_up(telemetry) == ["l2 miss"]
    await level.aclose()


def test_a_url_that_cannot_be_parsed_is_refused_at_once(telemetry: RecordingTelemetry) -> None:
    """A URL with an impossible value is an error at start, which does not repeat the URL."""
    settings = RedisSettings(url="redis://user:hunter2@127.0.0.1:6379/0?db=many")

    with pytest.raises(LevelError, match=r"^cache\.redis\.url cannot be used: check its host, [^2]*$"):
        RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)


async def test_repr_hides_the_password(telemetry: RecordingTelemetry) -> None:
    """The repr shows state and no part of the URL."""
    settings = RedisSettings(url="redis://user:hunter2@127.0.0.1:6379/0")
    level = RedisLevel(settings, SECRET, gate=OpenGate(), clock=LoopClock(), telemetry=telemetry)

    assert repr(level) == (
        "<RedisLevel <RedisNames edgeway:2:> reads <AutoPipeline 0 of 31 running, 0 gathering>,"
        " writes <AutoPipeline 0 of 1 running, 0 gathering>, 0 bytes to write, 0 writes lost>"
    )
    await level.aclose()
