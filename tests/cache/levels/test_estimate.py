"""The estimate of other sizes is near to what levels of those sizes really reach."""

from __future__ import annotations

import hashlib
import random

import pytest

from cache.levels.estimate import LEAST_LOOKUPS, LONGEST_MEMORY, Estimate
from cache.levels.memory import MemoryLevel, MemorySettings
from gateway.core.telemetry import Silence
from tests.cache.levels.test_memory import SMALL_ENTRY, now

LIMIT = 4 << 20


def replay(memory: MemoryLevel, numbers: list[int]) -> float:
    hits = 0
    for number in numbers:
        name = hashlib.sha256(number.to_bytes(8, "big")).digest()
        if memory.peek(name) is None:
            now(memory.put(name, SMALL_ENTRY))
        else:
            hits += 1
    return hits / len(numbers)


def evenly(count: int) -> list[int]:
    return random.Random(5).choices(range(10_000), k=count)


def level(max_bytes: int, *, estimate: bool = True) -> MemoryLevel:
    return MemoryLevel(MemorySettings(max_bytes=max_bytes, estimate=estimate), Silence())


def test_half_and_double_are_as_levels_of_those_sizes() -> None:
    """The gain of twice the bytes and the loss of half are within 10 points of the truth, where no key
    is so hot that its being in the sample or not decides."""
    numbers = evenly(60_000)
    memory = level(LIMIT)
    truth = {"same": replay(memory, numbers)}
    truth |= {
        size: replay(level(int(LIMIT * factor), estimate=False), numbers)
        for size, factor in (("half", 0.5), ("double", 2))
    }
    ratios = memory.stats().estimates

    for size in ("half", "double"):
        gain, estimated = truth[size] - truth["same"], ratios[size] - ratios["same"]
        assert abs(gain - estimated) < 0.1, f"{size}: {truth}, {dict(ratios)}"
    assert ratios["half"] <= ratios["same"] <= ratios["double"]


def test_a_level_without_an_estimate_has_none() -> None:
    """Switched off, the sample is empty, and nothing of it is charged."""
    memory = level(LIMIT, estimate=False)
    replay(memory, evenly(30_000))

    assert memory.stats().estimates == {}


def test_keys_of_the_sample_are_found_like_all_others() -> None:
    """A key of the sample is held, hit, replaced, deleted; its bytes are charged beside the estimate's."""
    memory, name = level(1 << 20), b"\xff" * 32
    now(memory.put(name, SMALL_ENTRY))
    now(memory.put(name, SMALL_ENTRY))

    assert memory.glance(name) == memory.stored(name) == SMALL_ENTRY.at("l1")
    assert memory.taken_bytes == memory.occupancy().bytes > SMALL_ENTRY.size
    now(memory.delete(name))
    assert memory.peek(name) is None


@pytest.mark.parametrize("lookups", [LEAST_LOOKUPS - 1, LEAST_LOOKUPS, 3 * LONGEST_MEMORY])
def test_ratios_are_of_late_and_of_enough(lookups: int) -> None:
    """Too few look-ups say nothing; what was long ago counts little."""
    estimate = Estimate(1 << 20, 0.01)
    assert repr(estimate) == "<Estimate nothing yet>"
    for number in range(lookups):
        estimate.looked_up(number if number < lookups / 2 else -1)
        estimate.put(-1, 100)

    ratios = estimate.ratios()

    assert bool(ratios) == (lookups >= LEAST_LOOKUPS)
    if lookups > LONGEST_MEMORY:
        assert 0.6 < ratios["same"] < 1
        assert "same 0." in repr(estimate)
