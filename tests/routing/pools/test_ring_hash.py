"""Ring hash."""

from __future__ import annotations

from random import Random

from routing.pools.ring_hash import RingHash
from routing.pools.spread import RandomMember
from tests.routing.pools.members import Still, anyone, stills


def picker(balance: int = 0) -> RingHash:
    return RingHash(RandomMember(Random(1)), balance)


def test_weights_of_any_size_are_placed():
    """Above a bound, members have fewer places each: building may not hold the loop."""
    members = tuple(Still(f"m{i}:1", 1000) for i in range(300))
    chosen = picker()
    assert chosen.pick(members, anyone, b"k") is not None
    assert int(repr(chosen).split()[1]) <= 1 << 17


def test_shows_itself():
    chosen = picker(150)
    chosen.pick(stills(3), anyone, b"k")
    assert repr(chosen) == "<RingHash 384 places, <Bounds 150%>>"
