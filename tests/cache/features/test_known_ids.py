"""Which entities a store has, by listing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from cache.features import known_ids as module
from cache.features.known_ids import KnownIds
from cache.features.settings import KnownIdsSettings
from cache.features.vectors import StoreError
from gateway.core.feature_events import KnownIdsListed
from tests.cache.build import StepClock
from tests.cache.features.fake_store import FakeStore
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time


class Bench:
    def __init__(self, count: int, **settings: float) -> None:
        self.store = FakeStore({b"%d" % number: b"" for number in range(count)})
        self.clock, self.telemetry = StepClock(), RecordingTelemetry()
        whole = KnownIdsSettings(**settings)  # type: ignore[arg-type]
        self.known = KnownIds("users", self.store, whole, clock=self.clock, telemetry=self.telemetry)


async def test_nothing_is_absent_before_a_listing() -> None:
    bench = Bench(10)
    assert not bench.known.is_absent(b"x")
    assert "not listed yet" in repr(bench.known)


async def test_all_that_is_there_is_there_and_few_others_pass() -> None:
    """No id of the store is ever absent; of 20,000 others fewer than 1 % pass, of both filters together."""
    bench = Bench(30_000)
    await bench.known.refresh()
    bench.store.vectors = {b"%d" % number: b"" for number in range(30_000, 60_000)}
    await bench.known.refresh()

    assert not any(bench.known.is_absent(b"%d" % number) for number in range(60_000))
    passed = sum(not bench.known.is_absent(b"no-%d" % number) for number in range(20_000))
    assert passed < 200
    last = bench.telemetry.of(KnownIdsListed)[-1]
    assert 29_900 < last.ids <= 30_000
    assert 0.5 < last.fill <= 1
    assert last.false_positives < 0.01


async def test_a_filter_that_is_too_small_is_made_anew_larger() -> None:
    """More ids than it was made for would have it say yes to everything."""
    bench = Bench(module.LEAST_CAPACITY * 3)
    await bench.known.refresh()

    assert bench.store.listings == 3
    assert bench.known.is_absent(b"x")
    await bench.known.refresh()
    assert bench.store.listings == 4


async def test_more_than_may_be_is_no_filter() -> None:
    bench = Bench(12_000, most=10_000)
    await bench.known.refresh()

    assert not bench.known.is_absent(b"x")
    assert bench.telemetry.of(KnownIdsListed) == [KnownIdsListed("users", 0, error="too_many")]
    assert "too_many" in repr(bench.known)


async def test_a_listing_that_fails_changes_nothing_until_it_is_out_of_date() -> None:
    """What came of a listing that ended half-way is dropped; three intervals later nothing is known."""
    bench = Bench(10, refresh_s=60)
    await bench.known.refresh()
    bench.store.failure = StoreError("timeout")
    bench.store.vectors = {b"new": b""}
    await bench.known.refresh()

    assert bench.known.is_absent(b"new")
    assert not bench.known.is_absent(b"3")
    bench.clock.step(179)
    assert bench.known.is_absent(b"x")
    bench.clock.step(2)
    assert not bench.known.is_absent(b"x")
    assert bench.telemetry.of(KnownIdsListed)[-1].error == "timeout"


@virtual_time
async def test_a_listing_without_an_end_ends() -> None:
    """A store that lies has no last part: it is given up when it would be out of date."""
    bench = Bench(10)

    async def parts() -> AsyncIterator[Sequence[bytes]]:
        while True:
            yield [b"a"]
            await asyncio.sleep(1)

    bench.store.known_ids = parts  # type: ignore[method-assign]
    await bench.known.refresh()

    assert not bench.known.is_absent(b"x")
    assert bench.telemetry.of(KnownIdsListed) == [KnownIdsListed("users", 0, error="timeout")]


async def test_it_lists_again_and_again() -> None:
    bench = Bench(10)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    bench.clock.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await bench.known.run()

    assert bench.store.listings == 3
    assert slept == [60.0] * 3
