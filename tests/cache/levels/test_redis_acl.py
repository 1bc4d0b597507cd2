"""The ACL of docs/operating.md suffices: for one server, for leases, for a cluster; and without leases."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cache.leases import Bid
from cache.levels.redis import RedisLevel
from cache.levels.redis_settings import RedisSettings
from gateway.core.cache_events import CacheWriteLost
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from tests.cache.build import SECRET, entry, looked_up
from tests.fakes.redis_server import RedisServer
from tests.fakes.redis_shapes import ClusterServers
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

pytestmark = pytest.mark.redis

TEXT = Path("docs/operating.md").read_text().replace("\\|", "|")
KEY = bytes(range(32))


def rules(*more: str) -> list[str]:
    """The line as it is in the docs, and what it says a shape needs too."""
    found = re.search(r"`ACL SETUSER edgeway ([^`]*)`", TEXT)
    assert found is not None
    assert all(each in TEXT for each in more)
    return [*found[1].split(" "), *more]


def level_of(url: str, telemetry: RecordingTelemetry, **settings: Any) -> RedisLevel:
    return RedisLevel(
        RedisSettings(url=url.replace("//", "//edgeway:PASSWORD@"), timeout_ms=1000, **settings),
        SECRET,
        gate=OpenGate(),
        clock=LoopClock(),
        telemetry=telemetry,
    )


async def use(level: RedisLevel) -> None:
    """All that a level does."""
    held = entry(answer("edge", 2.0), now=time.time())
    assert await level.get(KEY) is None
    assert await level.bid(KEY, b"a", 60_000) == Bid(0, None)
    assert await level.fill(KEY, held, b"a")
    await level.flush()
    assert await level.get(KEY) is not None
    assert await level.bid(KEY, b"b", 60_000) == Bid(0, held.at("l2"))
    await level.release(KEY, b"b", is_abandoned=True)
    await level.delete(KEY)
    await level.flush()
    assert await level.get(KEY) is None
    await level.put(KEY, held)
    await level.flush()
    assert await level.get(KEY) is not None


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as started, Redis(port=started.port) as raw:
        raw.execute_command("ACL", "SETUSER", "edgeway", *rules())
        yield started


@pytest.mark.parametrize("more", ["", "?client_name=edge", "/1?client_name=edge"])
async def test_the_acl_of_the_docs_suffices(
    server: RedisServer, telemetry: RecordingTelemetry, more: str
) -> None:
    url = server.url.removesuffix("/0") + more
    with Redis(port=server.port) as raw:
        raw.flushall()
    level = level_of(url, telemetry)
    await use(level)
    assert telemetry.of(CacheWriteLost) == []
    assert "l2 error" not in looked_up(telemetry)
    await level.aclose()
    with Redis(port=server.port) as raw:
        assert raw.acl_log() == []


async def test_and_for_a_cluster_with_what_it_adds(telemetry: RecordingTelemetry) -> None:
    with ClusterServers() as cluster:
        for client in cluster.clients:
            client.execute_command("ACL", "SETUSER", "edgeway", *rules("+cluster|nodes", "+asking"))
        level = level_of(cluster.url, telemetry)
        await use(level)
        assert telemetry.of(CacheWriteLost) == []
        await level.aclose()
        for client in cluster.clients:
            assert client.acl_log() == []
