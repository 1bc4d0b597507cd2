"""What is believed of a cluster, and what nodes may say. With real servers: test_redis_shapes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from cache.levels.redis_cluster import MOST_NODES, RedisCluster, masters_of, slot_of
from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.redis_routes import RedisNode, RedisTarget
from cache.levels.replies import ProtocolError, ReplyError
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from tests.fakes.lying_redis import LyingRedis

MASTER = "id 10.0.0.1:7000@17000 myself,master - 0 0 1 connected"


@given(st.from_regex(r"[a-z:]{0,9}\{[a-z0-9]{1,9}\}[a-z:]{0,9}|[a-z:]{1,9}", fullmatch=True))
def test_slots_are_those_of_redis(name: str) -> None:
    assert slot_of(name) == key_slot(name.encode())


@pytest.mark.parametrize(
    ("text", "masters"),
    [
        (f"{MASTER} 0-5 9 [3->-other] [4-<-other]", [("10.0.0.1", 7000, [(0, 5), (9, 9)])]),
        (f"{MASTER}\nid 10.0.0.2:1@2 slave id 0 0 1 connected", []),
        ("id :0@0 master,noaddr - 0 0 1 disconnected 0-1", []),
        ("id :7000@17000 myself,master - 0 0 1 connected 0-1", [("asked", 7000, [(0, 1)])]),
        ("id 10.0.0.1:7000@17000,node.a master - 0 0 1 connected 1", [("node.a", 7000, [(1, 1)])]),
        ("id 10.0.0.1:7000@17000,,shard-id=5 master - 0 0 1 connected 1", [("10.0.0.1", 7000, [(1, 1)])]),
        ("id fe80::1:7000@17000 master - 0 0 1 connected 1", [("fe80::1", 7000, [(1, 1)])]),
    ],
)
def test_masters_and_their_slots(text: str, masters: Any) -> None:
    assert list(masters_of(text, "asked")) == masters


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        f"{MASTER} 5-3",
        f"{MASTER} 0-16384",
        f"{MASTER} x",
        f"{MASTER} 1-x",
        f"{MASTER} 99999999999999999999",
        f"{MASTER} " + "0-16383 " * 2,
        MASTER.replace("7000", "70000") + " 1",
        MASTER.replace(":7000", "") + " 1",
        f"{MASTER}\n" * (4 * MOST_NODES + 1),
    ],
)
def test_lies_are_refused_and_cost_little(text: str) -> None:
    with pytest.raises(ProtocolError):
        list(masters_of(text, "asked"))


def cluster_at(url: str) -> RedisCluster:
    def make(options: RedisOptions) -> RedisNode:
        connector = RedisConnector(options, timeout_s=1, max_bulk_bytes=1024, clock=LoopClock())
        return RedisNode(options, connector, OpenGate(), timeout_s=1, connections=2)

    return RedisCluster((RedisOptions.of(url),), make, timeout_s=1, clock=LoopClock())


@pytest.mark.parametrize(
    "said",
    [
        "MOVED",
        "MOVED 1",
        "MOVED x 127.0.0.1:1",
        "MOVED 99999 127.0.0.1:1",
        "ASK 1 nowhere",
        "ASK 1 a:0",
        "ERR no",
    ],
)
async def test_a_redirection_that_is_none_leads_nowhere(said: str) -> None:
    cluster = cluster_at("redis://127.0.0.1:1")
    met = cluster.target("a")
    assert cluster.onward(ReplyError(said.encode()), met, 0) is None
    await cluster.aclose()


async def test_redirections_are_followed_and_only_moves_are_remembered() -> None:
    cluster = cluster_at("redis://127.0.0.1:1")
    met = cluster.target("a")
    slot = slot_of("a")

    asking = cluster.onward(ReplyError(b"ASK %d 127.0.0.1:2" % slot), met, 0)
    assert asking is not None and asking.asks and asking.node.options.port == 2
    assert cluster.target("a").node is met.node

    moved = cluster.onward(ReplyError(b"MOVED %d :3" % slot), met, 0)
    assert moved is not None and not moved.asks
    assert (moved.node.options.host, moved.node.options.port) == ("127.0.0.1", 3)
    assert cluster.target("a") is moved
    await cluster.aclose()


async def test_nodes_are_bounded() -> None:
    cluster = cluster_at("redis://127.0.0.1:1")
    met = cluster.target("a")
    targets = [cluster.onward(ReplyError(b"MOVED 1 127.0.0.1:%d" % port), met, 0) for port in range(2, 400)]
    assert sum(target is not None for target in targets) == MOST_NODES - 1
    assert f"{MOST_NODES} nodes" in repr(cluster)
    assert isinstance(cluster.target("b"), RedisTarget)
    await cluster.aclose()


@pytest.mark.parametrize("code", [b"CLUSTERDOWN no", b"LOADING no", b"READONLY no"])
async def test_trouble_has_the_cluster_looked_at_once_a_second(code: bytes) -> None:
    """And a list of nodes that is a lie is not adopted."""
    async with LyingRedis(b"$8\r\nnonsense\r\n") as server:
        cluster = cluster_at(server.url)
        met = cluster.target("a")
        for _ in range(20):
            assert cluster.onward(ReplyError(code), met, 0) is None
            assert cluster.onward(None, met, 0) is None
            await asyncio.sleep(0.001)
        assert server.connections <= 2
        assert "0 slots" in repr(cluster)
        await cluster.aclose()
        cluster.refresh()
        assert cluster.onward(ConnectionError(), met, 0) is None
