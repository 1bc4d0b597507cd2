"""Commands of many callers in few round trips, none of which outlives its limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from cache.levels.pipelining import MOST_COMMANDS, AutoPipeline
from tests.cache.levels.gates import RecordingGate
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.redis

LIMIT_S = 0.2


@pytest.fixture
def gate() -> RecordingGate:
    return RecordingGate()


@pytest.fixture
def client(shared_redis: RedisServer) -> Iterator[Redis]:
    yield client_of(shared_redis)


def client_of(server: RedisServer) -> Redis:
    retry = Retry(NoBackoff(), 0)
    return Redis.from_pool(
        ConnectionPool.from_url(server.url, protocol=2, driver_info=None, retry=retry, max_connections=8)
    )


async def test_one_tick_is_one_round_trip(client: Redis, gate: RecordingGate) -> None:
    """Commands submitted in one tick share a pipeline, and each gets its own reply."""
    pipeline = AutoPipeline(client, gate, timeout_s=LIMIT_S, connections=4)

    pending = [pipeline.submit("ECHO", str(number)) for number in range(50)]
    replies = [await future for future in pending if future]

    assert replies == [str(number).encode() for number in range(50)]
    assert gate.verdicts == ["succeeded"]
    await pipeline.aclose()
    await client.aclose()


async def test_busy_connections_make_longer_pipelines(client: Redis, gate: RecordingGate) -> None:
    """While the one connection is busy, later commands gather, and leave together."""
    pipeline = AutoPipeline(client, gate, timeout_s=LIMIT_S, connections=1)

    first = pipeline.submit("ECHO", "first")
    await asyncio.sleep(0)
    later = []
    for number in range(20):
        later.append(pipeline.submit("ECHO", str(number)))
        await asyncio.sleep(0)
    assert first is not None and await first == b"first"
    replies = [await future for future in later if future]

    assert len(replies) == 20
    assert len(gate.verdicts) < 20
    assert set(gate.verdicts) == {"succeeded"}
    await pipeline.aclose()
    await client.aclose()


async def test_an_error_reply_is_a_result_and_no_evidence(client: Redis, gate: RecordingGate) -> None:
    """A command that the server refuses costs its caller an error, and its neighbours nothing."""
    pipeline = AutoPipeline(client, gate, timeout_s=LIMIT_S, connections=1)

    wrong, right = pipeline.submit("NOSUCH"), pipeline.submit("ECHO", "x")
    assert wrong is not None and right is not None

    assert isinstance(await wrong, ResponseError)
    assert await right == b"x"
    assert gate.verdicts == ["succeeded"]
    await pipeline.aclose()
    await client.aclose()


async def test_a_shut_gate_admits_nothing(client: Redis, gate: RecordingGate) -> None:
    """Nothing is sent, and nobody waits, while the gate is shut."""
    pipeline = AutoPipeline(client, gate, timeout_s=LIMIT_S, connections=1)
    gate.is_open = False

    assert pipeline.submit("ECHO", "x") is None
    assert gate.verdicts == []
    await client.aclose()


async def test_a_pipeline_has_a_longest_length(client: Redis, gate: RecordingGate) -> None:
    """Past the bound a command is refused, and the others go on."""
    pipeline = AutoPipeline(client, gate, timeout_s=5, connections=1)

    pending = [pipeline.submit("ECHO", "x") for _ in range(MOST_COMMANDS + 1)]

    assert pending[-1] is None
    assert repr(pipeline) == f"<AutoPipeline 0 of 1 running, {MOST_COMMANDS} gathering>"
    await pipeline.aclose()
    assert all(future is not None and future.result() == b"x" for future in pending[:-1])
    await client.aclose()


async def test_the_limit_holds_against_a_stopped_server(redis: RedisServer, gate: RecordingGate) -> None:
    """A server that accepts and never answers costs the limit, and is evidence once."""
    client = client_of(redis)
    pipeline = AutoPipeline(client, gate, timeout_s=0.05, connections=1)
    redis.pause()

    # Without the limit it would hang.
    async with asyncio.timeout(10):
        pending = [pipeline.submit("ECHO", str(number)) for number in range(5)]
        await asyncio.sleep(0.01)
        waiting = pipeline.submit("ECHO", "waits for the connection")
        replies = [await future for future in (*pending, waiting) if future]

        assert [type(reply) for reply in replies] == [TimeoutError] * 6
        assert gate.verdicts[0] == "failed"
        await pipeline.aclose()
    assert sorted(gate.verdicts) in (["failed", "failed"], ["failed", "left"])
    await client.aclose()
    redis.resume()


async def test_waiting_for_a_connection_is_no_evidence(redis: RedisServer, gate: RecordingGate) -> None:
    """A pipeline that never got a connection within its limit says nothing about the server."""
    client = client_of(redis)
    slow = AutoPipeline(client, gate, timeout_s=0.05, connections=0)

    pending = slow.submit("ECHO", "x")

    assert pending is not None and isinstance(await pending, TimeoutError)
    assert gate.verdicts == ["left"]
    assert repr(slow) == "<AutoPipeline 0 of 0 running, 0 gathering>"
    await client.aclose()


async def test_a_lost_server_is_evidence(redis: RedisServer, gate: RecordingGate) -> None:
    """A refused connection ends all commands of the pipeline and counts once."""
    client = client_of(redis)
    pipeline = AutoPipeline(client, gate, timeout_s=LIMIT_S, connections=1)
    redis.kill()

    pending = [pipeline.submit("ECHO", "x") for _ in range(3)]
    replies = [await future for future in pending if future]

    assert all(isinstance(reply, Exception) for reply in replies)
    assert gate.verdicts == ["failed"]
    await client.aclose()


async def test_a_leaving_caller_takes_only_its_future(client: Redis, gate: RecordingGate) -> None:
    """Cancelling one future leaves the pipeline's other replies and its connection alone."""
    pipeline = AutoPipeline(client, gate, timeout_s=LIMIT_S, connections=1)

    one, two = pipeline.submit("ECHO", "one"), pipeline.submit("ECHO", "two")
    assert one is not None and two is not None
    one.cancel()

    assert await two == b"two"
    assert gate.verdicts == ["succeeded"]
    await pipeline.aclose()
    await client.aclose()


async def test_a_cancelled_pipeline_is_an_error_to_its_callers(
    redis: RedisServer, gate: RecordingGate
) -> None:
    """When the loop cancels a pipeline, its callers get an error and the gate no evidence."""
    client = client_of(redis)
    pipeline = AutoPipeline(client, gate, timeout_s=1, connections=1)
    redis.pause()
    others = asyncio.all_tasks()
    pending = pipeline.submit("ECHO", "x")
    await asyncio.sleep(0.02)

    for task in asyncio.all_tasks() - others:
        task.cancel()

    assert pending is not None and isinstance(await pending, ConnectionError)
    assert gate.verdicts == ["left"]
    await pipeline.aclose()
    await client.aclose()


async def test_closed_admits_nothing(client: Redis, gate: RecordingGate) -> None:
    """Closing finishes what was submitted and admits no more."""
    pipeline = AutoPipeline(client, gate, timeout_s=LIMIT_S, connections=1)
    pending = pipeline.submit("ECHO", "x")

    await pipeline.aclose()

    assert pending is not None and pending.result() == b"x"
    assert pipeline.submit("ECHO", "y") is None
    await client.aclose()
