"""At random, and in turn."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from routing.pools.picking import Picker
from routing.pools.spread import RandomMember, RoundRobin
from tests.routing.pools.members import Still, anyone, counted, stills

PICKS = 20_000
BOTH = pytest.mark.parametrize("new", [RandomMember, RoundRobin])


@BOTH
@pytest.mark.parametrize("weights", [(1, 1, 1), (5, 3, 1), (1000, 1, 100)])
def test_each_gets_its_weight(new: Callable[[Random], Picker], weights):
    members = tuple(Still(f"m{i}:1", weight) for i, weight in enumerate(weights))
    picker = new(Random(1))
    found = counted(picker.pick(members, anyone, None) for _ in range(PICKS))
    for member in members:
        share = member.weight / sum(weights)
        sigma = (PICKS * share * (1 - share)) ** 0.5
        assert abs(found[member.name] - PICKS * share) <= 3 * sigma


@BOTH
def test_each_gets_its_warmth(new):
    members = stills(3)
    members[0].warmth = 0.5
    picker = new(Random(1))
    found = counted(picker.pick(members, anyone, None) for _ in range(PICKS))
    assert found[members[0].name] / PICKS == pytest.approx(0.2, abs=0.01)


@BOTH
def test_all_cold_are_equal(new):
    members = stills(3, warmth=0.001)
    picker = new(Random(1))
    found = counted(picker.pick(members, anyone, None) for _ in range(PICKS))
    assert min(found.values()) / PICKS == pytest.approx(1 / 3, abs=0.02)


@BOTH
@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (1000, 1, 1, 1)])
def test_only_usable_members_and_always_one_where_there_is_one(new, weights):
    members = tuple(Still(f"m{i}:1", weight) for i, weight in enumerate(weights))
    picker = new(Random(1))
    for _ in range(50):
        for usable in members:
            assert picker.pick(members, lambda member, usable=usable: member is usable, None) is usable
    assert picker.pick(members, lambda _: False, None) is None
    assert picker.pick((), anyone, None) is None


def test_a_lost_members_share_goes_to_the_others_by_weight():
    members = (Still("a:1", 2), Still("b:1", 1), Still("c:1", 3))
    for picker in (RandomMember(Random(1)), RoundRobin(Random(1))):
        found = counted(picker.pick(members, lambda m: m.name != "c:1", None) for _ in range(PICKS))
        assert found["a:1"] / PICKS == pytest.approx(2 / 3, abs=0.015)


def test_in_turn_each_comes_once_in_a_round():
    members = stills(7)
    picker = RoundRobin(Random(1))
    for _ in range(20):
        assert len(counted(picker.pick(members, anyone) for _ in members)) == 7


def test_gateways_begin_with_different_members():
    members = stills(10)
    assert len({RoundRobin(Random(seed)).pick(members, anyone) for seed in range(40)}) > 5


@BOTH
def test_members_that_change_are_noticed(new):
    picker = new(Random(1))
    assert picker.pick(stills(8), anyone, None) is not None
    few = stills(2)
    assert picker.pick(few, anyone, None) in few


def test_show_themselves():
    assert [repr(RandomMember(Random(1))), repr(RoundRobin(Random(1)))] == ["<RandomMember>", "<RoundRobin>"]
