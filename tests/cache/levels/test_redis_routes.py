"""Where commands go where there is one server."""

from __future__ import annotations

from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.redis_routes import OneRedis, RedisNode
from cache.levels.replies import Kind, ReplyError
from gateway.core.clock import LoopClock
from tests.cache.levels.gates import RecordingGate

OPTIONS = RedisOptions.of("redis://127.0.0.1:1")
READONLY = ReplyError(b"READONLY not here")


def node_of(gate: RecordingGate) -> RedisNode:
    connector = RedisConnector(OPTIONS, timeout_s=1, max_bulk_bytes=10, clock=LoopClock())
    return RedisNode(OPTIONS, connector, gate, timeout_s=1, connections=2)


async def test_only_what_met_a_replica_is_sent_again_and_only_when_connections_are_new() -> None:
    node = node_of(RecordingGate())
    routes = OneRedis(node)
    met = routes.target("a")
    assert met.node is node
    assert routes.onward(READONLY, met, 0) is None
    assert node.connector.renew()
    assert routes.onward(READONLY, met, 0) is met
    assert routes.onward(READONLY, met, 1) is None
    for error in (ReplyError(b"MOVED 1 127.0.0.1:2"), ConnectionError(), None):
        assert routes.onward(error, met, 0) is None
    await routes.aclose()


async def test_what_the_gate_refuses_is_not_sent() -> None:
    gate = RecordingGate()
    gate.is_open = False
    node = node_of(gate)
    target = OneRedis(node).target("a")
    assert target.read(Kind.BULK, "GET", "a") is None
    assert target.write(Kind.STATUS, "SET", "a", "b") is None
    assert target._replace(asks=True).read(Kind.BULK, "GET", "a") is None
    assert "0 of 1 running" in repr(node)
    await node.join()
    await node.aclose()
