"""L1: S3-FIFO within its bytes, whatever is asked of it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import tracemalloc
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cache.levels import memory as memory_module
from cache.levels.envelope import Envelope
from cache.levels.level import Entry
from cache.levels.memory import MOST_HITS, MemoryLevel, MemorySettings
from gateway.core.cache_events import CacheLookedUp
from gateway.core.request import Provenance, Response
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from tests.cache.build import SECRET, entry
from tests.fakes.telemetry import RecordingTelemetry


def now(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine of the level, none of which ever waits."""
    with pytest.raises(StopIteration):
        work.send(None)


def sized(payload: int) -> Entry:
    tensor = Tensor("p", "UINT8", (payload,), bytes(payload))
    return entry(Response("digits", "1", (tensor,), Provenance("edge")))


def level(max_bytes: int) -> MemoryLevel:
    return MemoryLevel(MemorySettings(max_bytes=max_bytes), Silence())


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


SMALL_ENTRY = sized(8)


def test_peek_finds_what_was_put(telemetry: RecordingTelemetry) -> None:
    """What was put is found, marked as l1; what was not is a miss that the level reports."""
    memory = MemoryLevel(MemorySettings(), telemetry)
    now(memory.put(key(1), SMALL_ENTRY))

    found, missing = memory.peek(key(1)), memory.peek(key(2))

    assert found is not None and found.response.provenance.level == "l1"
    assert missing is None
    assert telemetry.events == [CacheLookedUp("l1", "miss")]


def test_a_hit_hands_out_the_same_object() -> None:
    """Hits allocate nothing: every peek gives the one response that was made at the put."""
    memory = level(1 << 20)
    now(memory.put(key(1), SMALL_ENTRY))

    first, second = memory.peek(key(1)), memory.peek(key(1))

    assert first is second


def test_put_again_replaces_and_accounts_the_difference() -> None:
    """The second entry under a key takes the first one's place, at its own size."""
    memory = level(1 << 20)
    now(memory.put(key(1), sized(5000)))
    now(memory.put(key(1), sized(10)))

    assert memory.taken_bytes == sized(10).size
    assert memory.peek(key(1)) == sized(10).at("l1")


def test_an_entry_too_large_is_refused_and_its_forerunner_forgotten() -> None:
    """One answer may not take a tenth of the cache, and an older one must not outlive it."""
    memory = level(50_000)
    now(memory.put(key(1), SMALL_ENTRY))

    now(memory.put(key(1), sized(6000)))

    assert memory.peek(key(1)) is None


def test_deleted_keys_leave_no_growth() -> None:
    """Deleting and putting one key for ever keeps one place for it."""
    memory = level(1 << 20)

    for _ in range(1000):
        now(memory.put(key(1), SMALL_ENTRY))
        now(memory.delete(key(1)))
    now(memory.delete(key(2)))

    assert memory.peek(key(1)) is None
    assert repr(memory) == "<MemoryLevel 0.0 of 1.0 MiB, 1 small, 0 main, 0 ghosts>"


def test_one_hit_wonders_pass_through_small_only() -> None:
    """A stream of keys never asked for again leaves the entries of main alone."""
    memory = level(100 * SMALL_ENTRY.size)
    for number in range(40):
        now(memory.put(key(number), SMALL_ENTRY))
        for _ in range(2):
            memory.peek(key(number))

    for number in range(1000, 3000):
        now(memory.put(key(number), SMALL_ENTRY))

    assert all(memory.peek(key(number)) is not None for number in range(40))


def test_a_key_that_left_too_early_comes_back_into_main() -> None:
    """A name found in ghost is admitted to main at once."""
    memory = level(100 * SMALL_ENTRY.size)
    for number in range(120):
        now(memory.put(key(number), SMALL_ENTRY))
    assert memory.peek(key(5)) is None

    now(memory.put(key(5), SMALL_ENTRY))

    assert "1 main" in repr(memory)


def test_main_forgets_who_is_no_longer_asked_for() -> None:
    """A key in main that is not hit any more leaves after at most as many turns as it has hits."""
    memory = level(100 * SMALL_ENTRY.size)
    for number in range(3000):
        now(memory.put(key(number), SMALL_ENTRY))
        for _ in range(MOST_HITS + 2):
            memory.peek(key(number))

    assert memory.peek(key(0)) is None
    assert memory.peek(key(2999)) is not None
    assert memory.taken_bytes <= 100 * SMALL_ENTRY.size


def test_deleted_places_leave_main_and_small_in_their_turn() -> None:
    """A deleted key's place goes when its turn comes, without a ghost."""
    memory = level(30 * SMALL_ENTRY.size)
    for number in range(7, 400):
        now(memory.put(key(number), SMALL_ENTRY))
        for _ in range(2 if number % 2 else 0):
            memory.peek(key(number))
        now(memory.delete(key(number - 7)))

    assert memory.taken_bytes <= 30 * SMALL_ENTRY.size
    assert memory.peek(key(390)) is None


async def test_answers_of_one_model_are_forgotten() -> None:
    """The others stay, and every byte is accounted for, whatever leaves while it goes on."""
    memory = level(20 << 20)
    other = entry(Response("other", "1", SMALL_ENTRY.response.outputs, Provenance("edge")))
    for number in range(12_000):
        await memory.put(key(number), other if number % 3 else SMALL_ENTRY)

    forgetting = asyncio.create_task(memory.forget("digits"))
    await asyncio.sleep(0)
    assert not forgetting.done(), "others have their turn"
    for number in range(12_000, 30_000):
        await memory.put(key(number), other)
    await forgetting

    held = [found for number in range(30_000) if (found := memory.stored(key(number))) is not None]
    assert {found.response.model for found in held} == {"other"}
    assert memory.taken_bytes == memory.occupancy().bytes <= 20 << 20


async def test_aclose_forgets_everything() -> None:
    """A closed level holds nothing."""
    memory = level(1 << 20)
    await memory.put(key(1), SMALL_ENTRY)

    await memory.aclose()

    assert await memory.get(key(1)) is None
    assert memory.taken_bytes == 0


class Accounting(RuleBasedStateMachine):
    """Any mix of operations on entries of any size keeps the level within its bytes, and truthful."""

    LIMIT = 60_000

    def __init__(self) -> None:
        super().__init__()
        self.memory = level(self.LIMIT)
        self.last: dict[bytes, Entry] = {}

    keys = st.integers(0, 60).map(key)

    @rule(name=keys, payload=st.sampled_from([0, 10, 100, 1000, 4000, 5000, 20_000]))
    def put(self, name: bytes, payload: int) -> None:
        self.last[name] = sized(payload)
        now(self.memory.put(name, self.last[name]))

    @rule(name=keys, times=st.integers(1, 4))
    def peek(self, name: bytes, times: int) -> None:
        for _ in range(times):
            found = self.memory.peek(name)
            assert found is None or found == self.last[name].at("l1")

    @rule(name=keys)
    def delete(self, name: bytes) -> None:
        now(self.memory.delete(name))
        self.last.pop(name, None)
        assert self.memory.peek(name) is None

    @rule(start=st.integers(100, 10_000), count=st.integers(1, 80))
    def flood(self, start: int, count: int) -> None:
        for number in range(start, start + count):
            name = key(number)
            self.last[name] = sized(number % 500)
            now(self.memory.put(name, self.last[name]))

    @invariant()
    def within_budget(self) -> None:
        assert 0 <= self.memory.taken_bytes <= self.LIMIT

    @invariant()
    def books_balance(self) -> None:
        occupancy = self.memory.occupancy()
        held = [name for name in self.last if self.memory.stored(name) is not None]
        assert self.memory.taken_bytes == occupancy.bytes
        assert len(held) <= occupancy.small + occupancy.main


TestAccounting = Accounting.TestCase


def memory_per_charge(numbers: int, max_bytes: int, outputs: int) -> float:
    """Bytes really taken for each byte charged, after ``numbers`` puts of answers fresh from Redis."""
    envelope = Envelope(SECRET, "l2")
    memory = level(max_bytes)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(numbers):
            tensors = tuple(Tensor.from_numpy(f"p{n}", np.zeros((1, 10), np.float32)) for n in range(outputs))
            provenance = Provenance("edge", region="eu-west", digest="sha256:" + "a" * 64)
            blob = envelope.seal(key(number), entry(Response("digits", "1", tensors, provenance)))
            now(memory.put(key(number), envelope.open(key(number), blob)))
            found = memory.peek(key(number))
            assert found is not None
            for tensor in found.response.outputs:
                tensor.numpy()
        gc.collect()  # whatever lies there in cycles is not the level's
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (after - before) / memory.taken_bytes


@pytest.mark.parametrize(
    ("numbers", "max_bytes", "outputs"), [(2000, 1 << 30, 1), (2000, 1 << 30, 2), (5000, 2 << 20, 1)]
)
def test_what_is_charged_is_what_is_taken(numbers: int, max_bytes: int, outputs: int) -> None:
    """The bytes that CPython takes stay within 5 % above the bytes charged, ghosts included."""
    assert 0.6 < memory_per_charge(numbers, max_bytes, outputs) < 1.05


class Lru:
    """The yardstick: least recently used, by the same bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.held: OrderedDict[bytes, Entry] = OrderedDict()
        self.max_entries = max_bytes // SMALL_ENTRY.size

    def peek(self, name: bytes) -> Entry | None:
        if name in self.held:
            self.held.move_to_end(name)
        return self.held.get(name)

    def store(self, name: bytes) -> None:
        self.held[name] = SMALL_ENTRY
        if len(self.held) > self.max_entries:
            self.held.popitem(last=False)


def zipf(count: int, rng: random.Random) -> list[int]:
    weights = list(itertools.accumulate(1 / (rank + 1) ** 0.9 for rank in range(10_000)))
    return rng.choices(range(10_000), cum_weights=weights, k=count)


def plain(rng: random.Random) -> list[int]:
    return zipf(30_000, rng)


def one_hit(rng: random.Random) -> list[int]:
    fresh = itertools.count(100_000)
    return [n for hit in zipf(24_000, rng) for n in ((hit, next(fresh)) if rng.random() < 0.4 else (hit,))]


def scans(rng: random.Random) -> list[int]:
    chunks = [zipf(5000, rng) for _ in range(6)]
    return [n for chunk in chunks for n in (*chunk, *range(200_000, 201_500))]


def drift(rng: random.Random) -> list[int]:
    return [(hit + turn // 5000 * 150) % 10_000 for turn, hit in enumerate(zipf(30_000, rng))]


@pytest.mark.parametrize(
    ("trace", "least", "gain"),
    [(plain, 0.50, 0.05), (one_hit, 0.33, 0.06), (scans, 0.38, 0.04), (drift, 0.44, 0.0)],
    ids=["zipf", "one-hit", "scans", "drift"],
)
def test_hit_ratio_beats_lru(trace: Any, least: float, gain: float) -> None:
    """On four kinds of trace S3-FIFO keeps its hit ratio, and its lead over LRU in the same bytes."""
    numbers = [key(number) for number in trace(random.Random(11))]
    memory, lru = level(500 * SMALL_ENTRY.size), Lru(500 * SMALL_ENTRY.size)
    hits = lru_hits = 0

    for name in numbers:
        if memory.peek(name) is not None:
            hits += 1
        else:
            now(memory.put(name, SMALL_ENTRY))
        if lru.peek(name) is not None:
            lru_hits += 1
        else:
            lru.store(name)

    ratio, lru_ratio = hits / len(numbers), lru_hits / len(numbers)
    assert ratio >= least, f"{ratio:.3f}, LRU {lru_ratio:.3f}"
    assert ratio - lru_ratio >= gain, f"{ratio:.3f}, LRU {lru_ratio:.3f}"


async def test_the_hottest_are_those_that_were_hit_most() -> None:
    """Percent of all entries, at least one; what was deleted is none of them."""
    memory = level(1 << 20)
    for number in range(10):
        await memory.put(key(number), SMALL_ENTRY)
    for number, hits in ((7, 3), (2, 2), (5, 1), (9, 3)):
        for _ in range(hits):
            memory.peek(key(number))
    await memory.delete(key(9))

    assert await memory.hottest(30) == [key(7), key(2), key(5)]
    assert await memory.hottest(1) == [key(7)]
    assert len(await memory.hottest(100)) == 9
    assert await level(1 << 20).hottest(100) == []


async def test_a_look_at_all_entries_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many of them."""
    monkeypatch.setattr(memory_module, "_LOOKED_AT_ONCE", 2)
    memory, turns = level(1 << 20), 0
    for number in range(10):
        await memory.put(key(number), SMALL_ENTRY)
    looking = asyncio.create_task(memory.hottest(100))
    while not looking.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns >= 5 and len(looking.result()) == 10
