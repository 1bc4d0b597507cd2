"""Zone awareness."""

from __future__ import annotations

from random import Random

import pytest

from routing.pools.least_request import LeastRequest
from routing.pools.picking import PENALTY
from routing.pools.spread import RandomMember, RoundRobin
from routing.pools.zones import BAND, OwnZoneFirst
from tests.routing.pools.members import Still, anyone, counted

KINDS = pytest.mark.parametrize("new", [LeastRequest, RandomMember, RoundRobin])


def own_first(new) -> OwnZoneFirst:
    return OwnZoneFirst("a", new(Random(1)), new(Random(2)), Random(3))


def zoned(own: int, others: int) -> tuple[Still, ...]:
    return tuple(Still(f"m{i}:1", zone="a" if i < own else "b" if i % 2 else "") for i in range(own + others))


def shares(picker, members, is_usable=anyone) -> dict[str, float]:
    found = counted(picker.pick(members, is_usable, None) for _ in range(2000))
    return {name: count / 2000 for name, count in found.items()}


@KINDS
def test_the_own_zone_gets_all_while_it_can_carry_it(new):
    members = zoned(2, 4)
    assert set(shares(own_first(new), members)) == {"m0:1", "m1:1"}
    members[0].cost = members[1].cost = BAND
    assert set(shares(own_first(new), members)) == {"m0:1", "m1:1"}


@KINDS
def test_what_it_cannot_carry_goes_elsewhere(new):
    members = zoned(2, 4)
    members[0].cost = members[1].cost = 2.1
    assert not set(shares(own_first(new), members)) & {"m0:1", "m1:1"}


@KINDS
@pytest.mark.parametrize("out", [{"m0:1", "m1:1"}, {"m0:1", "m1:1", "m2:1", "m3:1", "m4:1"}])
def test_where_the_own_zone_is_out_others_take_over(new, out):
    members = zoned(2, 4)
    found = shares(own_first(new), members, lambda member: member.name not in out)
    assert set(found) == {member.name for member in members} - out


@KINDS
def test_where_the_others_are_out_the_own_zone_takes_all(new):
    members = zoned(2, 4)
    members[0].cost = members[1].cost = 100.0
    assert set(shares(own_first(new), members, lambda member: member.zone == "a")) == {"m0:1", "m1:1"}
    assert own_first(new).pick(members, lambda _: False, None) is None
    assert own_first(new).pick((), anyone, None) is None


def test_who_refuses_gets_nothing_while_another_zone_has_one_that_does_not():
    members = zoned(2, 8)
    for member in members[:-1]:
        member.cost = PENALTY + 1
    assert set(shares(own_first(LeastRequest), members)) == {members[-1].name}


@KINDS
@pytest.mark.parametrize(("own", "others"), [(0, 5), (5, 0)])
def test_with_one_side_only_zones_do_not_matter(new, own, others):
    assert len(shares(own_first(new), zoned(own, others))) == 5


def test_shows_itself():
    assert repr(own_first(LeastRequest)) == "<OwnZoneFirst a: <LeastRequest of 2>>"
