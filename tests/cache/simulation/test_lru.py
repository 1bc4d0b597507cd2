"""LRU."""

from __future__ import annotations

from cache.simulation.lru import LruCache


def test_the_least_recently_used_leaves() -> None:
    """A hit makes young."""
    cache = LruCache(1000)
    for name in range(10):
        cache.put(name, 100)
    assert cache.get(0)

    cache.put(10, 100)

    assert cache.get(0) and not cache.get(1)
