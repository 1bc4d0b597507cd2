"""A reader of one log: what it has missed it gets, and what it may have missed is no longer given."""

from __future__ import annotations

from random import Random

import pytest

from cache.invalidation.epochs import Epochs
from cache.invalidation.follower import Follower
from cache.invalidation.scope import Scope
from gateway.core.cache_events import InvalidationLogRead, InvalidationRead
from tests.cache.build import StepClock
from tests.cache.invalidation.logs import log_of, run, settings_of
from tests.fakes.cut_link import CutLink
from tests.fakes.redis_server import RedisServer
from tests.fakes.telemetry import RecordingTelemetry

pytestmark = pytest.mark.redis

STALE_S = 60.0


class Reading:
    """A follower of the log at ``url`` whose clock the test moves."""

    def __init__(self, url: str, clock: StepClock | None = None) -> None:
        self.clock, self.telemetry = clock or StepClock(), RecordingTelemetry()
        self.epochs = Epochs("us")
        self.log = log_of(url, timeout_ms=500)
        self.follower = Follower(
            self.log,
            self.epochs,
            settings_of({"eu": url}, max_staleness_s=STALE_S),
            name="us/1",
            region="us",
            clock=self.clock,
            chance=Random(1),
            telemetry=self.telemetry,
        )

    def marks(self) -> object:
        return self.epochs.marks("m", "t", ())

    def state(self) -> str:
        return str(self.follower.report()["state"])

    def cut_if_due(self) -> None:
        self.follower.cut_if_due(self.clock.steady())


async def test_what_was_written_while_the_link_was_cut_is_read(redis: RedisServer) -> None:
    """The place is kept, and the keys change when the log is read again."""
    writer = log_of(redis.url)
    async with CutLink(redis.port) as link:
        reading = Reading(link.url)
        await reading.follower.look()
        before = reading.marks()
        link.cut()
        await writer.publish(Scope(model="m"), "me")
        pause_s = await reading.follower.look()
        assert (reading.state(), reading.marks()) == ("behind", before)
        assert 0 < pause_s <= 5
        link.mend()

        assert await reading.follower.look() == 0.0

        assert reading.marks() != before
        assert reading.state() == "following"
        assert reading.telemetry.of(InvalidationRead)[-1] == InvalidationRead("eu", "model")
        await reading.log.aclose()
    await writer.aclose()


async def test_out_of_reach_for_too_long_is_kept_apart(redis: RedisServer) -> None:
    """From then on nothing is given that is older than max_staleness_s; two that are cut off agree on keys.

    What was kept before the cut is given again after it: the log has said that nothing has changed.
    """
    async with CutLink(redis.port) as link:
        clock = StepClock()
        one, other = Reading(link.url, clock), Reading(link.url, clock)
        await one.follower.look()
        await other.follower.look()
        before = one.marks()
        link.cut()
        seen = []
        for seconds in (STALE_S - 1, 2, STALE_S, STALE_S / 1000, 3 * STALE_S):
            clock.step(seconds)
            for reading in (one, other):
                await reading.follower.look()
                reading.cut_if_due()
            assert one.marks() == other.marks()
            seen.append(one.marks())
        assert seen[0] == before
        assert len(set(map(repr, seen[1:]))) in {3, 4}
        assert before not in seen[1:]
        assert one.state() == "cut"
        assert one.telemetry.of(InvalidationRead)[0] == InvalidationRead("eu", "cut")
        assert one.telemetry.of(InvalidationLogRead)[-1].lag_s > 4 * STALE_S
        link.mend()
        await one.follower.look()
        one.cut_if_due()

        assert one.marks() == before
        assert one.state() == "following"
        for reading in (one, other):
            await reading.log.aclose()


async def test_before_the_first_look_everything_is_kept_apart(redis: RedisServer) -> None:
    """A process that has just started knows nothing of what was invalidated before."""
    reading = Reading(redis.url)
    reading.cut_if_due()
    assert reading.state() == "cut"
    assert reading.telemetry.of(InvalidationRead) == [InvalidationRead("eu", "start")]
    now_s = reading.clock.steady()
    assert now_s < reading.follower.due_s(now_s) <= now_s + STALE_S
    before = reading.marks()

    await reading.follower.look()

    assert reading.marks() != before
    assert reading.follower.is_read
    assert reading.follower.due_s(now_s) == now_s + STALE_S
    await reading.log.aclose()


@pytest.mark.parametrize("command", ["FLUSHALL", "DEL {edgeway-invalidation}:eu:names"])
async def test_a_lost_log_makes_every_key_another_one(redis: RedisServer, command: str) -> None:
    """What it would have said is not known; a process that starts later has the same keys."""
    reading, writer = Reading(redis.url), log_of(redis.url)
    await writer.publish(Scope(model="n"), "me")
    await reading.follower.look()
    before = reading.marks()
    await run(redis.url, *command.split())

    await reading.follower.look()
    later = Reading(redis.url)
    await later.follower.look()

    assert reading.marks() != before
    assert reading.marks() == later.marks()
    assert InvalidationRead("eu", "lost") in reading.telemetry.of(InvalidationRead)
    for log in (reading.log, later.log, writer):
        await log.aclose()


async def test_a_refusal_and_garbage_are_told_apart(redis: RedisServer) -> None:
    """In the metrics and in the health report, which names the code and nothing else."""
    reading = Reading(redis.url)
    await run(redis.url, "SET", "{edgeway-invalidation}:eu:state", "x")
    await reading.follower.look()
    assert reading.follower.report()["problem"] == "refused: WRONGTYPE"
    await run(redis.url, "FLUSHALL")
    await reading.follower.look()
    await run(redis.url, "ZADD", "{edgeway-invalidation}:eu:names", "1", "who wrote this")
    await run(redis.url, "HSET", "{edgeway-invalidation}:eu:state", "count", "1")

    await reading.follower.look()

    outcomes = [event.outcome for event in reading.telemetry.of(InvalidationLogRead)]
    assert outcomes == ["refused", "read", "malformed", "read"]
    assert "problem" not in reading.follower.report()
    await reading.log.aclose()


async def test_a_million_rows_are_read_in_pages(redis: RedisServer) -> None:
    """Each look takes few, so that requests go on; what is held of them is bounded."""
    reading = Reading(redis.url)
    await reading.follower.look()
    script = (
        "for i = 1, 20000 do redis.call('ZADD', KEYS[1], i, 'model=m' .. i) end "
        "return redis.call('HSET', KEYS[2], 'count', 20000)"
    )
    await run(
        redis.url, "EVAL", script, "2", "{edgeway-invalidation}:eu:names", "{edgeway-invalidation}:eu:state"
    )
    looks = 1
    while await reading.follower.look() == 0.01:
        assert reading.state() == "behind"
        looks += 1

    assert looks == 40
    assert "4096+" in repr(reading.epochs)
    assert "at 20000" in repr(reading.follower)
    await reading.log.aclose()
