"""Commands of many callers in few round trips, none of which outlives its limit."""

from __future__ import annotations

import asyncio

import pytest

from cache.levels.pipelining import MOST_COMMANDS, AutoPipeline
from cache.levels.redis_connection import RedisConnector
from cache.levels.redis_options import RedisOptions
from cache.levels.replies import Kind, ReplyError
from gateway.core.clock import LoopClock
from tests.cache.levels.gates import RecordingGate
from tests.fakes.lying_redis import LyingRedis
from tests.fakes.redis_server import RedisServer

pytestmark = pytest.mark.redis

LIMIT_S = 0.2


@pytest.fixture
def gate() -> RecordingGate:
    return RecordingGate()


class HandClock(LoopClock):
    """Shows what the test sets it to."""

    seconds = 0.0

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def connector(shared_redis: RedisServer) -> RedisConnector:
    return connector_of(shared_redis)


def connector_of(server: RedisServer | LyingRedis, connect_timeout_s: float = 10) -> RedisConnector:
    return RedisConnector(
        RedisOptions.of(server.url), timeout_s=connect_timeout_s, max_bulk_bytes=1024, clock=LoopClock()
    )


async def test_one_tick_is_one_round_trip(connector: RedisConnector, gate: RecordingGate) -> None:
    """Commands submitted in one tick share a pipeline, and each gets its own reply."""
    pipeline = AutoPipeline(connector, gate, timeout_s=LIMIT_S, connections=4)

    pending = [pipeline.submit(Kind.BULK, "ECHO", str(number)) for number in range(50)]
    replies = [await future for future in pending if future]

    assert replies == [str(number).encode() for number in range(50)]
    assert gate.verdicts == ["succeeded"]
    await pipeline.aclose()


async def test_busy_connections_make_longer_pipelines(connector: RedisConnector, gate: RecordingGate) -> None:
    """While the one connection is busy, later commands gather, and leave together."""
    pipeline = AutoPipeline(connector, gate, timeout_s=LIMIT_S, connections=1)

    first = pipeline.submit(Kind.BULK, "ECHO", "first")
    await asyncio.sleep(0)
    later = []
    for number in range(20):
        later.append(pipeline.submit(Kind.BULK, "ECHO", str(number)))
        await asyncio.sleep(0)
    assert first is not None and await first == b"first"
    replies = [await future for future in later if future]

    assert len(replies) == 20
    assert len(gate.verdicts) < 20
    assert set(gate.verdicts) == {"succeeded"}
    await pipeline.aclose()


async def test_an_error_reply_is_a_result_and_no_evidence(
    connector: RedisConnector, gate: RecordingGate
) -> None:
    """A command that the server refuses costs its caller an error, and its neighbours nothing."""
    pipeline = AutoPipeline(connector, gate, timeout_s=LIMIT_S, connections=1)

    wrong, right = pipeline.submit(Kind.BULK, "NOSUCH"), pipeline.submit(Kind.BULK, "ECHO", "x")
    assert wrong is not None and right is not None

    assert isinstance(await wrong, ReplyError)
    assert await right == b"x"
    assert gate.verdicts == ["succeeded"]
    await pipeline.aclose()


async def test_a_shut_gate_admits_nothing(connector: RedisConnector, gate: RecordingGate) -> None:
    """Nothing is sent, and nobody waits, while the gate is shut."""
    pipeline = AutoPipeline(connector, gate, timeout_s=LIMIT_S, connections=1)
    gate.is_open = False

    assert pipeline.submit(Kind.BULK, "ECHO", "x") is None
    assert gate.verdicts == []


async def test_a_pipeline_has_a_longest_length(connector: RedisConnector, gate: RecordingGate) -> None:
    """Past the bound a command is refused, and the others go on."""
    pipeline = AutoPipeline(connector, gate, timeout_s=5, connections=1)

    pending = [pipeline.submit(Kind.BULK, "ECHO", "x") for _ in range(MOST_COMMANDS + 1)]

    assert pending[-1] is None
    assert repr(pipeline) == f"<AutoPipeline 0 of 1 running, {MOST_COMMANDS} gathering>"
    await pipeline.aclose()
    assert all(future is not None and future.result() == b"x" for future in pending[:-1])


async def test_the_limit_holds_against_a_stopped_server(redis: RedisServer, gate: RecordingGate) -> None:
    """A server that accepts and never answers costs the limit, and is evidence once."""
    pipeline = AutoPipeline(connector_of(redis), gate, timeout_s=0.1, connections=1)
    first = pipeline.submit(Kind.BULK, "ECHO", "connects")
    assert first is not None and await first == b"connects"
    redis.pause()

    # Without the limit it would hang.
    async with asyncio.timeout(10):
        pending = [pipeline.submit(Kind.BULK, "ECHO", str(number)) for number in range(5)]
        await asyncio.sleep(0)
        waiting = pipeline.submit(Kind.BULK, "ECHO", "waits for the connection")
        replies = [await future for future in (*pending, waiting) if future]

        assert [type(reply) for reply in replies] == [TimeoutError] * 6
        assert gate.verdicts[:2] == ["succeeded", "failed"]
        await pipeline.aclose()
    assert gate.verdicts == ["succeeded", "failed", "left"]
    redis.resume()


async def test_a_connection_that_is_late_is_made_all_the_same(gate: RecordingGate) -> None:
    """Who waits for it is a miss in time and no evidence; nobody else waits; then it serves."""
    async with LyingRedis(b"$1\r\nx\r\n", delay_s=0.3) as server:
        pipeline = AutoPipeline(connector_of(server), gate, timeout_s=0.02, connections=1)

        early = pipeline.submit(Kind.BULK, "ECHO", "x")
        assert early is not None and isinstance(await early, TimeoutError)
        assert pipeline.submit(Kind.BULK, "ECHO", "x") is None
        async with asyncio.timeout(10):
            while (late := pipeline.submit(Kind.BULK, "ECHO", "x")) is None:
                await asyncio.sleep(0.01)
            assert await late == b"x"

        assert server.connections == 1
        assert gate.verdicts == ["left", "succeeded"]
        await pipeline.aclose()


async def test_a_connection_that_is_never_made_is_evidence_once(gate: RecordingGate) -> None:
    """Connecting has its own limit, and its end is the evidence of whoever waited for it."""
    async with LyingRedis(b"", delay_s=60) as server:
        connector = connector_of(server, connect_timeout_s=0.1)
        pipeline = AutoPipeline(connector, gate, timeout_s=0.02, connections=1)

        pending = pipeline.submit(Kind.BULK, "ECHO", "x")
        assert pending is not None and isinstance(await pending, TimeoutError)
        assert gate.verdicts == []
        async with asyncio.timeout(10):
            while not gate.verdicts:
                await asyncio.sleep(0.01)

        assert (gate.verdicts, gate.reasons) == (["failed"], ["timeout"])
        await pipeline.aclose()


async def test_late_commands_on_quick_connections_are_evidence_again_and_again(gate: RecordingGate) -> None:
    """A server that is connected to in time and answers nothing opens a breaker: connecting does not clear it."""
    async with LyingRedis(b"") as server:
        pipeline = AutoPipeline(connector_of(server), gate, timeout_s=0.05, connections=1)

        async with asyncio.timeout(10):
            while len(gate.verdicts) < 3:
                if pending := pipeline.submit(Kind.BULK, "ECHO", "x"):
                    await pending
        assert set(gate.verdicts) <= {"failed", "left"}
        assert "failed" in gate.verdicts
        await pipeline.aclose()


async def test_a_connection_that_another_could_spare_is_not_waited_for(
    connector: RedisConnector, gate: RecordingGate
) -> None:
    """While one more connection is made, commands leave with whichever is free first."""
    pipeline = AutoPipeline(connector, gate, timeout_s=10, connections=3)

    replies = []
    for number in range(50):
        replies.append(pipeline.submit(Kind.BULK, "ECHO", str(number)))
        await asyncio.sleep(0)

    answers = [await reply for reply in replies if reply]
    assert answers == [str(number).encode() for number in range(50)]
    assert set(gate.verdicts) == {"succeeded"}
    await pipeline.aclose()


async def test_a_server_that_takes_no_more_connections_is_not_asked_at_every_command(
    gate: RecordingGate,
) -> None:
    """One that is refused while others serve costs nobody anything, and is tried again a second later."""
    async with LyingRedis(b"$1\r\nx\r\n") as server:
        pipeline = AutoPipeline(connector_of(server), gate, timeout_s=10, connections=8)
        first = pipeline.submit(Kind.BULK, "ECHO", "x")
        assert first is not None and await first == b"x"
        server.greeting = b"-ERR max number of clients reached\r\n"
        for _ in range(20):
            pending = []
            for _ in range(2):
                pending.append(pipeline.submit(Kind.BULK, "ECHO", "x"))
                await asyncio.sleep(0)
            assert [await future for future in pending if future] == [b"x"] * 2
            await asyncio.sleep(0.005)

        assert server.connections == 2
        assert set(gate.verdicts) == {"succeeded"}
        await pipeline.aclose()


@pytest.mark.parametrize("code", ["READONLY", "LOADING", "MASTERDOWN", "NOAUTH", "NOREPLICAS"])
async def test_a_server_that_is_no_master_is_left(gate: RecordingGate, code: str) -> None:
    """Its connection is closed, once a second at most, and the next is made from the name on."""
    reasons: list[str] = []
    async with LyingRedis(f"-{code} not here\r\n".encode()) as server:
        connector = RedisConnector(
            RedisOptions.of(server.url),
            timeout_s=10,
            max_bulk_bytes=1024,
            clock=(clock := HandClock()),
            closed=reasons.append,
        )
        pipeline = AutoPipeline(connector, gate, timeout_s=10, connections=1)

        async def ask() -> int:
            pending = pipeline.submit(Kind.BULK, "GETRANGE", "x", 0, 1)
            assert pending is not None and isinstance(await pending, ReplyError)
            return server.connections

        assert [await ask(), await ask(), await ask()] == [1, 2, 2]
        clock.seconds += 1.5
        assert [await ask(), await ask()] == [2, 3]
        assert reasons == ["renewed", "renewed"]
        await pipeline.aclose()


async def test_connections_of_both_pipelines_are_made_anew(
    gate: RecordingGate, connector: RedisConnector
) -> None:
    """What one learns of a fail-over holds for all connections of the connector."""
    one, two = (AutoPipeline(connector, gate, timeout_s=10, connections=1) for _ in range(2))
    first = two.submit(Kind.BULK, "ECHO", "x")
    assert first is not None and await first == b"x"

    assert connector.renew()
    again = two.submit(Kind.BULK, "ECHO", "y")

    assert again is not None and await again == b"y"
    await one.aclose()
    await two.aclose()


@pytest.mark.parametrize(
    ("reply", "taken"),
    [
        (b"*2147483647\r\n", 0),
        (b"$1\r\nx\r\n" * 3, 2),
        (b"$1\r\nx\r\n:1\r\n", 1),
        (b"$1\r\nx\r\n$5000\r\n", 1),
    ],
    ids=["array", "one too many", "wrong kind", "too long"],
)
async def test_a_lie_ends_the_connection_and_counts_once(
    gate: RecordingGate, reply: bytes, taken: int
) -> None:
    """Replies before the lie are taken, those after are errors at once, and the pipeline goes on anew."""
    reasons: list[str] = []
    async with LyingRedis(reply) as server:
        connector = RedisConnector(
            RedisOptions.of(server.url),
            timeout_s=10,
            max_bulk_bytes=1024,
            clock=LoopClock(),
            closed=reasons.append,
        )
        pipeline = AutoPipeline(connector, gate, timeout_s=10, connections=1)
        for turn in (1, 2):
            pending = [pipeline.submit(Kind.BULK, "ECHO", "x") for _ in range(2)]
            replies = [await future for future in pending if future]
            assert [reply == b"x" for reply in replies] == [number < taken for number in range(2)]
            assert reasons == ["protocol"] * turn
        assert server.connections == 2
        assert gate.reasons == ["protocol"] * 2
        await pipeline.aclose()


async def test_waiting_for_a_connection_is_no_evidence(redis: RedisServer, gate: RecordingGate) -> None:
    """A pipeline that never got a connection within its limit says nothing about the server."""
    connector = connector_of(redis)
    slow = AutoPipeline(connector, gate, timeout_s=0.05, connections=0)

    pending = slow.submit(Kind.BULK, "ECHO", "x")

    assert pending is not None and isinstance(await pending, TimeoutError)
    assert gate.verdicts == ["left"]
    assert repr(slow) == "<AutoPipeline 0 of 0 running, 0 gathering>"


async def test_a_lost_server_is_evidence(redis: RedisServer, gate: RecordingGate) -> None:
    """A refused connection ends all commands of the pipeline and counts once."""
    connector = connector_of(redis)
    pipeline = AutoPipeline(connector, gate, timeout_s=LIMIT_S, connections=1)
    redis.kill()

    pending = [pipeline.submit(Kind.BULK, "ECHO", "x") for _ in range(3)]
    replies = [await future for future in pending if future]

    assert all(isinstance(reply, Exception) for reply in replies)
    assert gate.verdicts == ["failed"]


async def test_a_leaving_caller_takes_only_its_future(connector: RedisConnector, gate: RecordingGate) -> None:
    """Cancelling one future leaves the pipeline's other replies and its connection alone."""
    pipeline = AutoPipeline(connector, gate, timeout_s=LIMIT_S, connections=1)

    one, two = pipeline.submit(Kind.BULK, "ECHO", "one"), pipeline.submit(Kind.BULK, "ECHO", "two")
    assert one is not None and two is not None
    one.cancel()

    assert await two == b"two"
    assert gate.verdicts == ["succeeded"]
    await pipeline.aclose()


async def test_a_cancelled_connection_is_an_error_to_its_callers(
    redis: RedisServer, gate: RecordingGate
) -> None:
    """When the loop cancels what connects, those who wait for it get an error and the gate no evidence."""
    pipeline = AutoPipeline(connector_of(redis), gate, timeout_s=10, connections=1)
    redis.pause()
    others = asyncio.all_tasks()
    pending = pipeline.submit(Kind.BULK, "ECHO", "x")
    await asyncio.sleep(0.02)

    for task in asyncio.all_tasks() - others:
        task.cancel()

    assert pending is not None and isinstance(await pending, ConnectionError)
    assert gate.verdicts == ["left"]
    await pipeline.aclose()


async def test_closed_admits_nothing(connector: RedisConnector, gate: RecordingGate) -> None:
    """Closing finishes what was submitted and admits no more."""
    pipeline = AutoPipeline(connector, gate, timeout_s=LIMIT_S, connections=1)
    pending = pipeline.submit(Kind.BULK, "ECHO", "x")

    await pipeline.aclose()

    assert pending is not None and pending.result() == b"x"
    assert pipeline.submit(Kind.BULK, "ECHO", "y") is None
