"""Large pools whose tables are made in steps."""

from __future__ import annotations

from random import Random

import pytest

from routing.pools.learning import AT_ONCE
from routing.pools.maglev import Maglev
from routing.pools.ring_hash import RingHash
from routing.pools.spread import RandomMember
from tests.routing.pools.members import Still, anyone, counted, keys, stills

KINDS = [RingHash, Maglev]


def new(kind, balance=0):
    return kind(RandomMember(Random(1)), balance)


def learned(picker, members):
    """Return with how many choices the table was there."""
    for number in range(1, 100):
        picker.pick(members, anyone, b"key")
        if "Learning" not in repr(picker):
            return number
    raise AssertionError(picker)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3, AT_ONCE])
def test_few_members_are_learned_at_once(kind, count):
    assert learned(new(kind), stills(count)) == 1


@pytest.mark.parametrize(
    ("kind", "count", "choices"),
    [(RingHash, 1000, 3), (RingHash, 4000, 6), (Maglev, 65, 12), (Maglev, 1000, 12), (Maglev, 4000, 15)],
)
def test_many_are_learned_with_a_step_for_each_choice(kind, count, choices):
    assert learned(new(kind), stills(count)) == choices


@pytest.mark.parametrize("kind", KINDS)
def test_equal_keys_meet_one_member_in_every_gateway_meanwhile(kind):
    members = stills(300)
    shuffled = tuple(Random(5).sample(members, 300))
    found = [new(kind).pick(each, anyone, b"k").name for each in (members, shuffled) for _ in range(3)]
    assert len(set(found)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_parts_follow_weights_meanwhile(kind):
    members = (Still("heavy:1", 100.0), *stills(100))
    found = counted(new(kind).pick(members, anyone, key) for key in keys(400))
    assert found["heavy:1"] / 400 == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_before_serves_until_the_new_one_is_there(kind):
    members = stills(300)
    picker = new(kind)
    learned(picker, members)
    before = {key: picker.pick(members, anyone, key) for key in keys(200)}
    for number, (key, was) in enumerate(before.items()):
        fewer = tuple(each for position, each in enumerate(members) if position != number)
        found = picker.pick(fewer, anyone, key)
        assert "Learning 299 members" in repr(picker)
        assert found in fewer
        assert (found is was) or was not in fewer


@pytest.mark.parametrize("kind", KINDS)
def test_meanwhile_only_usable_members_and_always_one_where_there_is_one(kind):
    members = stills(300)
    for usable in members[:5]:
        picker = new(kind)
        assert picker.pick(members, lambda each, usable=usable: each is usable, b"k") is usable
        assert picker.pick(members, lambda _: False, b"k") is None
        assert "Learning" in repr(picker)


@pytest.mark.parametrize("kind", KINDS)
def test_one_hot_key_is_bounded_meanwhile(kind):
    members = stills(100)
    picker = new(kind, 150)
    first = picker.pick(members, anyone, b"hot")
    first.active = 50
    assert picker.pick(members, anyone, b"hot") is not first


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_is_the_same_however_it_came_about(kind):
    members = stills(300)
    picker, other = new(kind), new(kind)
    learned(picker, members)
    learned(other, members[:200])
    learned(other, members)
    chosen = [[each.pick(members, anyone, key) for key in keys(300)] for each in (picker, other)]
    assert chosen[0] == chosen[1]
