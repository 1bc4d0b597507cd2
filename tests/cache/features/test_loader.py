"""Vectors out of memory and of a store: joined, once each, and what happens when it fails."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from cache.features import loader as loader_module
from cache.features.loader import ABSENT, FAILED, FeatureLoader, LoadedVector
from cache.features.settings import FeaturesSettings, StoreSettings
from cache.features.vectors import StoreError
from gateway.core.feature_events import FeaturesFetched, FeaturesLookedUp
from tests.cache.build import StepClock
from tests.cache.features.fake_store import FakeStore
from tests.fakes.telemetry import RecordingTelemetry


class Bench:
    def __init__(self, *names: bytes, **settings: Any) -> None:
        self.store = FakeStore({name: b"v" + name for name in names})
        self.clock, self.telemetry = StepClock(), RecordingTelemetry()
        self.absent: set[bytes] = set()
        whole = StoreSettings(**{"redis": "redis://h", "jitter": 0.0, **settings})
        self.loader = FeatureLoader(
            "users",
            self.store,
            whole,
            FeaturesSettings(),
            clock=self.clock,
            chance=random.Random(1),
            telemetry=self.telemetry,
            is_absent=self.absent.__contains__,
        )

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for event in self.telemetry.of(FeaturesLookedUp):
            found[event.outcome] = found.get(event.outcome, 0) + event.count
        return found


async def test_one_round_trip_of_all_that_is_missed_in_one_turn() -> None:
    """Also when ids come twice, in one request or in several; the next ones find them in memory."""
    bench = Bench(b"a", b"b", b"c")

    first, second = await asyncio.gather(
        bench.loader.load([b"a", b"b", b"a"]), bench.loader.load([b"b", b"c", b"x"])
    )

    assert first == {b"a": LoadedVector(b"va"), b"b": LoadedVector(b"vb")}
    assert second == {b"b": LoadedVector(b"vb"), b"c": LoadedVector(b"vc"), b"x": ABSENT}
    assert bench.store.trips == [[b"a", b"b", b"c", b"x"]]
    await bench.loader.load([b"c", b"x"])
    assert len(bench.store.trips) == 1
    assert bench.counts() == {"miss": 4, "joined": 1, "hit": 1, "negative": 1}
    assert bench.telemetry.of(FeaturesFetched) == [FeaturesFetched("users", "ok", 3, 1, 0)]


async def test_more_than_a_batch_are_several_round_trips() -> None:
    bench = Bench(*[b"%d" % number for number in range(5)], max_batch=2)

    found = await bench.loader.load([b"%d" % number for number in range(5)])

    assert len(found) == 5
    assert [len(trip) for trip in bench.store.trips] == [2, 2, 1]


async def test_an_entity_under_way_is_not_fetched_again_and_who_leaves_harms_nobody() -> None:
    bench = Bench(b"a")
    bench.store.held = asyncio.Event()
    first = asyncio.create_task(bench.loader.load([b"a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = asyncio.create_task(bench.loader.load([b"a"]))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.sleep(0)
    bench.store.held.set()

    assert await second == {b"a": LoadedVector(b"va")}
    assert first.cancelled()
    assert bench.store.trips == [[b"a"]]
    assert "1 vectors, 0 absent, 0 being fetched" in repr(bench.loader)


async def test_expiry_of_vectors_and_of_absence() -> None:
    """A vector is fetched anew after ``ttl_s``, an absent entity after ``negative_ttl_s``."""
    bench = Bench(b"a", ttl_s=60, negative_ttl_s=10)
    await bench.loader.load([b"a", b"x"])
    bench.store.vectors |= {b"a": b"new", b"x": b"come"}

    bench.clock.step(9)
    assert await bench.loader.load([b"a", b"x"]) == {b"a": LoadedVector(b"va"), b"x": ABSENT}
    bench.clock.step(2)
    assert await bench.loader.load([b"a", b"x"]) == {b"a": LoadedVector(b"va"), b"x": LoadedVector(b"come")}
    bench.clock.step(50)
    assert (await bench.loader.load([b"a"]))[b"a"] == LoadedVector(b"new")
    assert bench.store.trips == [[b"a", b"x"], [b"x"], [b"a"]]


async def test_an_entity_that_leaves_the_store_is_absent() -> None:
    bench = Bench(b"a", ttl_s=60, negative_ttl_s=0)
    await bench.loader.load([b"a"])
    del bench.store.vectors[b"a"]
    bench.clock.step(61)

    assert await bench.loader.load([b"a"]) == {b"a": ABSENT}
    assert await bench.loader.load([b"a"]) == {b"a": ABSENT}
    assert len(bench.store.trips) == 3
    # What it had is not one to stand in any more.
    bench.store.failure = StoreError("timeout")
    assert await bench.loader.load([b"a"]) == {b"a": FAILED}


async def test_times_to_live_are_spread() -> None:
    bench = Bench(*[b"%d" % number for number in range(50)], jitter=0.5, ttl_s=100)
    names = [b"%d" % number for number in range(50)]
    await bench.loader.load(names)
    bench.clock.step(100)

    await bench.loader.load(names)

    assert 5 < len(bench.store.trips[1]) < 45


@pytest.mark.parametrize("stale_s", [0, 30])
async def test_a_store_that_fails(stale_s: float) -> None:
    """What was known stands in for ``stale_if_error_s``, and says so; all else has failed."""
    bench = Bench(b"a", ttl_s=60, stale_if_error_s=stale_s)
    await bench.loader.load([b"a"])
    bench.store.failure = StoreError("timeout")
    bench.clock.step(61)

    expected = LoadedVector(b"va", is_stale=True) if stale_s else FAILED
    assert await bench.loader.load([b"a", b"b"]) == {b"a": expected, b"b": FAILED}
    bench.clock.step(31)
    assert await bench.loader.load([b"a"]) == {b"a": FAILED}
    assert bench.telemetry.of(FeaturesFetched)[1] == FeaturesFetched("users", "timeout", failed=2)
    bench.store.failure = None
    assert await bench.loader.load([b"a"]) == {b"a": LoadedVector(b"va")}


async def test_one_value_that_is_none_fails_alone() -> None:
    bench = Bench(b"a")
    bench.store.vectors[b"b"] = StoreError("length")

    assert await bench.loader.load([b"a", b"b"]) == {b"a": LoadedVector(b"va"), b"b": FAILED}
    assert bench.telemetry.of(FeaturesFetched) == [FeaturesFetched("users", "ok", 1, 0, 1)]


async def test_what_is_known_to_be_absent_is_not_asked_for() -> None:
    bench = Bench(b"a")
    bench.absent |= {b"x", b"y"}

    assert await bench.loader.load([b"a", b"x", b"y"]) == {
        b"a": LoadedVector(b"va"),
        b"x": ABSENT,
        b"y": ABSENT,
    }

    assert bench.store.trips == [[b"a"]]
    assert bench.counts() == {"miss": 1, "bloom_skipped": 2}


async def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "MOST_WAITING", 2)
    bench = Bench(b"a", b"b", b"c")

    found = await bench.loader.load([b"a", b"b", b"c"])

    assert found[b"c"] == FAILED
    assert bench.counts()["refused"] == 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_closing_leaves_nobody_waiting(turns: int) -> None:
    """Whether the round trip has begun, is about to, or nothing was sent yet."""
    bench = Bench(b"a")
    bench.store.held = asyncio.Event()
    waiting = asyncio.create_task(bench.loader.load([b"a"]))
    for _ in range(turns):
        await asyncio.sleep(0)

    await bench.loader.aclose()
    bench.store.held.set()

    assert (await waiting)[b"a"] in {FAILED, LoadedVector(b"va")}
    await bench.loader.aclose()


async def test_glance_is_only_for_what_is_fresh() -> None:
    bench = Bench(b"a", b"b")
    await bench.loader.load([b"a"])

    assert bench.loader.glance([b"a", b"a"]) == [b"va", b"va"]
    assert bench.loader.glance([b"a", b"b"]) is None
    bench.loader.spoil(b"a")
    assert bench.loader.glance([b"a"]) is None


async def test_a_flood_of_absent_ids_pushes_out_no_vector() -> None:
    """They have a memory of their own, which stays within its bytes."""
    bench = Bench(b"a")
    await bench.loader.load([b"a"])
    for begin in range(0, 20_000, 500):
        await bench.loader.load([b"x%d" % number for number in range(begin, begin + 500)])

    assert bench.loader.glance([b"a"]) == [b"va"]
    assert bench.loader.absent.taken_bytes <= FeaturesSettings().max_negative_bytes
    assert len(bench.loader.absent) < 20_000
