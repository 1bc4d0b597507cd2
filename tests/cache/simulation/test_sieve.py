"""SIEVE."""

from __future__ import annotations

from cache.simulation.sieve import SieveCache


def test_the_hand_passes_what_was_hit_and_goes_on_from_there() -> None:
    """The oldest without a hit leaves; those passed have lost their hit and not their place."""
    cache = SieveCache(1000)
    for name in range(10):
        cache.put(name, 100)
    cache.get(0)
    cache.get(1)

    cache.put(10, 100)
    cache.put(11, 100)

    assert [name for name in range(12) if cache.get(name)] == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11]


def test_the_hand_begins_anew_where_all_were_hit() -> None:
    """A whole round takes all hits away; the oldest leaves."""
    cache = SieveCache(1000)
    for name in range(10):
        cache.put(name, 100)
        cache.get(name)

    cache.put(10, 100)
    assert not cache.get(0)

    cache.put(1, 2000)
    cache.put(10, 2000)
    cache.put(9, 2000)
    assert [name for name in range(11) if cache.get(name)] == [2, 3, 4, 5, 6, 7, 8]
