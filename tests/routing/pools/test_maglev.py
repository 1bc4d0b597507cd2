"""Maglev hashing."""

from __future__ import annotations

from random import Random

import pytest

from routing.pools.maglev import SLOTS, Maglev, table
from routing.pools.spread import RandomMember
from tests.routing.pools.members import Still, stills


def picker(balance: int = 0) -> Maglev:
    return Maglev(RandomMember(Random(1)), balance)


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_slots_are_shared_to_within_one(count):
    """The paper: with equal weights no member has more than one slot more than another."""
    slots = table(stills(count))
    found = [slots.count(position) for position in range(count)]
    assert sum(found) == SLOTS
    assert max(found) - min(found) <= 1


def test_slots_follow_weights():
    slots = table((Still("a:1", 1000), Still("b:1", 1)))
    assert slots.count(1) == pytest.approx(SLOTS / 1001, abs=1)


def test_shows_itself():
    assert repr(picker(150)) == "<Maglev <Bounds 150%>>"
