"""The simulation is the level's policy: the same hits on the same stream."""

from __future__ import annotations

import random

from cache.simulation.s3fifo import S3FifoCache
from tests.cache.levels.test_memory import SMALL_ENTRY, key, level, now, one_hit


def test_it_hits_and_misses_as_the_level_does() -> None:
    """Look-up by look-up."""
    memory, cache = level(1 << 20), S3FifoCache(1 << 20)
    for number in one_hit(random.Random(2))[:20_000]:
        name = key(number)
        found = memory.peek(name) is not None
        assert cache.get(name) == found
        if not found:
            now(memory.put(name, SMALL_ENTRY))
            cache.put(name, SMALL_ENTRY.size)
    assert cache.own_bytes > 0
