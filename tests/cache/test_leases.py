"""Of several processes that miss one answer one computes it, and nobody fails on account of a lease."""

from __future__ import annotations

import asyncio
import random

import pytest

from cache.leases import (
    LEAST_S,
    LONGEST_LOOK_S,
    LONGEST_S,
    MOST_LOOKS,
    REST_S,
    UNKNOWN_S,
    UNLEASED,
    Claim,
    ComputeTimes,
    Lease,
    Leases,
)
from cache.levels.level import Entry
from gateway.core.cache_events import CacheLeased
from gateway.core.clock import LoopClock
from tests.cache.build import DictLevel, entry
from tests.cache.leasing import LeasingDict
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

KEY, OTHER = b"a" * 32, b"b" * 32


class Process:
    """What bids in one process."""

    def __init__(self, level: LeasingDict, seed: int = 1) -> None:
        self.level, self.telemetry = level, RecordingTelemetry()
        self.leases = Leases(level, clock=LoopClock(), chance=random.Random(seed), telemetry=self.telemetry)

    async def claim(self, within_s: float = 10.0, *, waits: bool = True, key: bytes = KEY) -> object:
        deadline = asyncio.get_running_loop().time() + within_s
        return await self.leases.claim(key, deadline, lambda found: found, waits=waits)

    async def compute(self, seconds: float, value: Entry | None, *, within_s: float = 10.0) -> object:
        """Wait for a claim and compute for so long; None: what comes out cannot be shared."""
        claim = await self.claim(within_s)
        if not isinstance(claim, Claim):
            return claim
        async with claim:
            await asyncio.sleep(seconds)
            if value is not None:
                await claim.put(self.level, KEY, value)
        return "computed"

    @property
    def outcomes(self) -> list[str]:
        return [event.outcome for event in self.telemetry.of(CacheLeased)]


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_one_computes_and_the_others_get_its_answer() -> None:
    """They look ever more seldom, and have it at most a quarter of the time later, or a tenth of a second."""
    level, began = LeasingDict(), now()
    processes = [Process(level, seed) for seed in range(4)]

    results = await asyncio.gather(*(each.compute(0.4, entry()) for each in processes))

    assert [result == "computed" for result in results] == [True, False, False, False]
    assert [each.outcomes for each in processes] == [["won"], *[["lost", "joined"]] * 3]
    assert now() - began < 0.4 + 0.15
    assert len(level.bids) < 60
    assert level.leases == {}


@virtual_time
async def test_keys_have_leases_of_their_own() -> None:
    """Who computes one answer does not hold up another."""
    level = LeasingDict()
    assert isinstance(await Process(level).claim(), Lease)

    assert isinstance(await Process(level).claim(key=OTHER), Lease)


@virtual_time
async def test_when_the_holder_dies_the_next_takes_over_as_its_lease_ends() -> None:
    """And the others wait for the next one."""
    level, began = LeasingDict(), now()
    assert isinstance(await Process(level).claim(), Lease)
    processes = [Process(level, seed) for seed in range(3)]

    results = await asyncio.gather(*(each.compute(0.1, entry()) for each in processes))

    assert sorted(result == "computed" for result in results) == [False, False, True]
    assert sorted(each.outcomes[-1] for each in processes) == ["joined", "joined", "taken_over"]
    assert now() - began < UNKNOWN_S + 0.1 + 1.5 * LONGEST_LOOK_S


@virtual_time
async def test_a_fill_that_comes_after_its_lease_is_refused() -> None:
    """Its holder has been slower than its lease, and another has filled meanwhile."""
    level = LeasingDict()
    slow, next_ = Process(level), Process(level)

    results = await asyncio.gather(slow.compute(UNKNOWN_S + 1, entry()), next_.compute(0.1, entry()))

    assert results == ["computed", "computed"]
    assert (next_.outcomes, level.refused) == (["lost", "taken_over"], 1)


@virtual_time
async def test_what_was_filled_between_look_up_and_bid_is_served() -> None:
    """The lease that was won for nothing is given back at once."""
    level = LeasingDict()
    await level.put(KEY, entry())
    process = Process(level)

    assert isinstance(await process.claim(), Entry)

    assert (level.leases, process.outcomes) == ({}, ["joined"])


@virtual_time
async def test_nobody_waits_for_an_answer_that_cannot_be_shared() -> None:
    """As soon as that is known all compute for themselves, at once and not one after the other."""
    level, began = LeasingDict(), now()
    processes = [Process(level, seed) for seed in range(4)]

    results = await asyncio.gather(*(each.compute(0.4, None) for each in processes))

    assert results == ["computed"] * 4
    assert [each.outcomes for each in processes] == [["won"], *[["lost", "abandoned"]] * 3]
    assert now() - began < 0.4 + 0.15 + 0.4


@virtual_time
async def test_who_is_cancelled_leaves_its_lease_to_the_next() -> None:
    """That its callers have left says nothing of the answer."""
    level = LeasingDict()
    leaving = asyncio.create_task(Process(level).compute(5.0, entry()))
    waiting = Process(level, 2)
    task = asyncio.create_task(waiting.compute(0.1, entry()))
    await asyncio.sleep(0.05)
    began = now()
    leaving.cancel()

    assert await task == "computed"
    assert waiting.outcomes == ["lost", "taken_over"]
    assert now() - began < 0.2


@virtual_time
async def test_who_leaves_while_it_bids_holds_nothing() -> None:
    """Nobody knows whether it had won."""
    level = LeasingDict()
    task = asyncio.create_task(Process(level).compute(5.0, entry()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (len(level.bids), level.leases) == (1, {})


@virtual_time
async def test_half_of_the_time_is_waited_and_then_it_is_computed_here_as_well() -> None:
    """It fills no level beside the holder, which will; others it does fill."""
    level, other, began = LeasingDict(), DictLevel(), now()
    assert isinstance(await Process(level).claim(within_s=1000), Lease)
    process = Process(level)

    claim = await process.claim(within_s=1.0)

    assert now() - began == pytest.approx(0.5)
    assert isinstance(claim, Claim)
    async with claim:
        await claim.put(level, KEY, entry())
        await claim.put(other, KEY, entry())
    assert (process.outcomes, level.held, list(other.held)) == (["lost", "vain"], {}, [KEY])


@virtual_time
async def test_a_level_that_lies_is_left_alone_for_a_while() -> None:
    """It says of every lease that another has it: that costs two waits, and one more in each while."""
    level = LeasingDict()
    process = Process(level)
    level.lie_ms = 1 << 62
    began = now()

    for _ in range(100):
        assert isinstance(await process.claim(within_s=2.0), Claim)

    assert now() - began == pytest.approx(2.0)
    assert process.outcomes == ["lost", "vain"] * 2
    await asyncio.sleep(REST_S)
    level.lie_ms = None
    assert isinstance(await process.claim(), Lease)
    assert await Process(level).claim(waits=False) is None


@virtual_time
async def test_a_level_that_says_now_for_ever_is_not_looked_at_for_ever() -> None:
    """Each lease ends in a millisecond, and never does: the looks are counted too."""
    level = LeasingDict()
    level.lie_ms = 1

    assert isinstance(await Process(level).claim(within_s=1e9), Claim)

    assert len(level.bids) == MOST_LOOKS


@virtual_time
async def test_where_no_lease_can_be_had_each_computes_for_itself_without_a_wait() -> None:
    """And as soon as they can be had again they are."""
    level, began = LeasingDict(), now()
    level.is_down = True
    process = Process(level)

    assert [await process.claim() for _ in range(5)] == [UNLEASED] * 5
    assert now() == began
    assert process.outcomes == ["skipped"] * 5
    level.is_down = False
    assert isinstance(await process.claim(), Lease)


@virtual_time
async def test_a_level_that_fails_while_one_waits_lets_it_compute() -> None:
    """What is put then goes where it would without leases."""
    level = LeasingDict()
    assert isinstance(await Process(level).claim(), Lease)
    process = Process(level)
    task = asyncio.create_task(process.compute(0.1, entry()))
    await asyncio.sleep(0.05)
    level.is_down = True

    assert await task == "computed"
    assert (process.outcomes, list(level.held)) == (["lost", "skipped"], [KEY])


@virtual_time
async def test_who_need_not_wait_is_told_that_another_computes() -> None:
    """For one that refreshes ahead of time."""
    level, began = LeasingDict(), now()
    assert isinstance(await Process(level).claim(waits=False), Lease)
    process = Process(level)

    assert await process.claim(waits=False) is None
    assert (now(), process.outcomes) == (began, ["lost"])


@virtual_time
async def test_a_lease_is_no_longer_than_its_request_has_time() -> None:
    """But never shorter than the least."""
    level = LeasingDict()
    process = Process(level)
    for _ in range(20):
        process.leases.times.add(1.0)

    for within_s in (100.0, 1.5, 0.01):
        async with await process.claim(within_s) as claim:  # type: ignore[attr-defined]
            assert isinstance(claim, Lease)
        level.leases.clear()

    assert level.bids == [3000, 1500, 200]


def test_a_lease_is_three_times_what_computing_takes() -> None:
    """The 99th percentile of the last ones, within bounds; no less than a guess as long as little is known."""
    times = ComputeTimes()
    assert times.lease_s == UNKNOWN_S
    for _ in range(15):
        times.add(0.001)
    assert times.lease_s == UNKNOWN_S
    times.add(0.001)
    assert times.lease_s == LEAST_S
    for each in range(1, 129):
        times.add(each / 128)
    assert times.lease_s == pytest.approx(3 * 127 / 128)
    for _ in range(200):
        times.add(0.1)
    assert times.lease_s == pytest.approx(0.3)
    times.add(1000.0)
    times.add(1000.0)
    assert times.lease_s == LONGEST_S
    assert "128" in repr(times)


@virtual_time
async def test_reprs_say_what_is_held() -> None:
    """For logs, and for tests that fail."""
    level = LeasingDict()
    process = Process(level)
    lease = await process.claim()
    assert isinstance(lease, Lease)

    assert repr(lease) == "<Lease held>"
    await lease.put(level, KEY, entry())
    assert repr(lease) == "<Lease used>"
    assert "l2" in repr(process.leases)
