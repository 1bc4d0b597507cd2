"""What all simulated policies have in common."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from cache.simulation.lru import LruCache
from cache.simulation.policy import SimulatedCache
from cache.simulation.s3fifo import S3FifoCache
from cache.simulation.sieve import SieveCache

POLICIES: dict[str, Callable[[int], SimulatedCache]] = {
    "s3fifo": S3FifoCache,
    "lru": LruCache,
    "sieve": SieveCache,
}


@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
def test_bytes_are_never_more_than_given(make: Callable[[int], SimulatedCache]) -> None:
    """Whatever sizes come, again and anew."""
    cache, chance = make(100_000), random.Random(1)
    for _ in range(5000):
        key = chance.randrange(300)
        if not cache.get(key):
            cache.put(key, chance.choice([10, 500, 9_000, 20_000]))
        assert 0 <= cache.taken_bytes <= 100_000
    assert "of 100000 bytes" in repr(cache)


@pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)
def test_expired_is_a_miss_and_oversize_is_refused(make: Callable[[int], SimulatedCache]) -> None:
    """A value is fresh until its expiry; one of more than a tenth takes its forerunner along."""
    cache = make(10_000)
    cache.put("a", 100, expiry=10)
    assert cache.get("a", 9) and not cache.get("a", 10)
    cache.put("a", 200)
    assert cache.get("a", 1e9)

    cache.put("a", 1001)
    cache.put("b", 1001)

    assert not cache.get("a") and not cache.get("b")
    cache.put("a", 100)
    assert cache.get("a")
