"""L2 behind Sentinels and in a cluster of real redis-servers: fail-over, resharding, lost nodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import AskError

from cache.levels.redis import RedisLevel
from cache.levels.redis_cluster import slot_of
from cache.levels.redis_names import RedisNames
from cache.levels.redis_settings import RedisSettings
from gateway.core.clock import LoopClock
from gateway.core.gate import Gate, OpenGate
from tests.cache.build import SECRET, entry, looked_up
from tests.cache.levels.gates import RecordingGate
from tests.fakes.redis_shapes import ClusterServers, Sentinels
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

pytestmark = pytest.mark.redis

NAMES = RedisNames("edgeway", SECRET)
KEYS = [bytes([number]) * 32 for number in range(60)]
BOUNDS = (5461, 10923, 16384)


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterServers]:
    with ClusterServers() as shape:
        yield shape


def level_of(url: str, telemetry: RecordingTelemetry, **options: Any) -> RedisLevel:
    gate_of = options.pop("gate_of", None)
    settings = {"timeout_ms": 1000, "connect_timeout_ms": 5000, **options}
    return RedisLevel(
        RedisSettings(url=url, **settings),
        SECRET,
        gate=OpenGate(),
        clock=LoopClock(),
        telemetry=telemetry,
        gate_of=gate_of,
    )


def fresh() -> Any:
    return entry(answer("edge", 1.0), now=time.time())


def owner_of(key: bytes) -> int:
    slot = slot_of(NAMES.of(key))
    return next(number for number, end in enumerate(BOUNDS) if slot < end)


async def put_all(level: RedisLevel, keys: list[bytes] = KEYS) -> None:
    for key in keys:
        await level.put(key, fresh())
    await level.flush()


async def found(level: RedisLevel, keys: list[bytes] = KEYS) -> int:
    return sum([each is not None for each in await asyncio.gather(*map(level.get, keys))])


async def until(is_so: Any) -> None:
    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.05)


async def test_a_cluster_holds_each_key_in_its_slot(
    cluster: ClusterServers, telemetry: RecordingTelemetry
) -> None:
    level = level_of(cluster.url, telemetry)
    await put_all(level)
    assert await found(level) == len(KEYS)
    assert looked_up(telemetry) == [], "MOVED is followed"
    for key in KEYS:
        assert cluster.clients[owner_of(key)].exists(NAMES.of(key))
    await level.aclose()


async def test_once_the_slots_are_known_a_look_up_is_one_round_trip(
    cluster: ClusterServers, telemetry: RecordingTelemetry
) -> None:
    gates: dict[str, RecordingGate] = {}

    def gate_of(address: str) -> Gate:
        return gates.setdefault(address, RecordingGate())

    level = level_of(cluster.url, telemetry, gate_of=gate_of)
    await put_all(level)
    await until(lambda: _knows(level))
    before = {address: len(gate.verdicts) for address, gate in gates.items()}
    assert await found(level) == len(KEYS)
    assert [len(gate.verdicts) - before[address] for address, gate in gates.items()] == [1, 1, 1]
    assert set(gates) == {f"127.0.0.1:{server.port}" for server in cluster.servers}
    await level.aclose()


async def _knows(level: RedisLevel) -> bool:
    return "16384 slots" in repr(level)


async def test_a_slot_moves_under_load_and_nothing_fails(
    cluster: ClusterServers, telemetry: RecordingTelemetry
) -> None:
    """While it is being moved (ASK), and after it has (MOVED): every look-up finds, every write lands."""
    level = level_of(cluster.url, telemetry)
    await put_all(level)
    await until(lambda: _knows(level))
    key = next(key for key in KEYS if owner_of(key) == 0)
    slot = slot_of(NAMES.of(key))
    cluster.clients[0].delete(NAMES.of(key))
    cluster.begin_move(slot, 0, 1)
    try:
        await level.put(key, fresh())
        await level.flush()
        with pytest.raises(AskError):
            cluster.clients[0].exists(NAMES.of(key))
        assert await level.get(key) is not None
    finally:
        cluster.end_move(slot, 0, 1)
    assert await found(level) == len(KEYS)
    assert "0 writes lost" in repr(level)
    assert looked_up(telemetry) == []
    cluster.move(slot, 1, 0)
    assert await found(level) == len(KEYS)
    await level.aclose()


async def test_a_lost_node_costs_its_own_slots_alone(telemetry: RecordingTelemetry) -> None:
    gates: dict[str, RecordingGate] = {}
    with ClusterServers() as cluster:
        level = level_of(cluster.url, telemetry, gate_of=lambda a: gates.setdefault(a, RecordingGate()))
        await put_all(level)
        await until(lambda: _knows(level))
        cluster.servers[2].kill()
        others = [key for key in KEYS if owner_of(key) != 2]
        lost = [key for key in KEYS if owner_of(key) == 2]

        assert await found(level) == len(others)
        dead = gates[f"127.0.0.1:{cluster.servers[2].port}"]
        assert "failed" in dead.verdicts
        assert all("failed" not in gate.verdicts for gate in gates.values() if gate is not dead)
        dead.is_open = False
        assert await found(level, lost) == 0
        assert looked_up(telemetry)[-1] == "l2 skipped"
        assert await found(level, others) == len(others)
        await level.aclose()


async def test_sentinels_name_the_master_and_the_next_one(telemetry: RecordingTelemetry) -> None:
    with Sentinels() as shape:
        level = level_of(shape.url, telemetry)
        await put_all(level, KEYS[:5])
        assert await found(level, KEYS[:5]) == 5
        assert shape.client(shape.master).dbsize() == 5

        shape.master.kill()
        assert await found(level, KEYS[:5]) == 0, "no look-up raises"
        shape.fail_over()

        async def works() -> bool:
            await put_all(level, KEYS[:5])
            return await found(level, KEYS[:5]) == 5

        await until(works)
        assert shape.client(shape.replica).dbsize() == 5
        await level.aclose()


@pytest.mark.parametrize("url", ["redis+sentinel://127.0.0.1:1/m", "redis+cluster://127.0.0.1:1"])
async def test_nobody_there_is_an_error_and_no_more(url: str, telemetry: RecordingTelemetry) -> None:
    level = level_of(url, telemetry)
    assert await level.get(KEYS[0]) is None
    await level.put(KEYS[0], fresh())
    await level.flush()
    assert looked_up(telemetry) == ["l2 error"]
    await level.aclose()
