"""What holds of every way to choose a member by a hash: ring hash and Maglev."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from routing.pools.maglev import Maglev
from routing.pools.picking import Picker
from routing.pools.ring_hash import RingHash
from routing.pools.spread import RandomMember
from tests.routing.pools.members import Still, anyone, counted, keys, stills

KEYS = keys(4000)
KINDS: dict[str, tuple[type[RingHash | Maglev], float]] = {
    "ring_hash": (RingHash, 1.45),
    "maglev": (Maglev, 1.25),
}
"""Name → the class, and how far the largest part may be above the average."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[type[RingHash | Maglev], float]:
    return KINDS[request.param]


@pytest.fixture
def picker(kind: tuple[type[RingHash | Maglev], float]) -> Callable[..., Picker]:
    def made(balance: int = 0) -> Picker:
        return kind[0](RandomMember(Random(1)), balance)

    return made


@pytest.fixture
def uneven(kind: tuple[type[RingHash | Maglev], float]) -> float:
    return kind[1]


def placed(picker, members, is_usable=anyone, balance=0):
    chosen = picker(balance)
    return [chosen.pick(members, is_usable, key).name for key in KEYS]


@pytest.mark.parametrize("count", [2, 3, 8, 50])
def test_a_member_that_is_out_moves_only_its_own_keys(picker, count):
    members = stills(count)
    before = placed(picker, members)
    gone = members[count // 2].name
    after = placed(picker, members, lambda member: member.name != gone)
    moved = [was for was, now in zip(before, after, strict=True) if was != now]
    assert set(moved) == {gone}
    assert len(moved) == before.count(gone)


@pytest.mark.parametrize("count", [3, 8, 50, 200])
def test_a_member_that_leaves_moves_few_keys(picker, count):
    members = stills(count)
    before, after = placed(picker, members), placed(picker, members[1:])
    moved = sum(was != now for was, now in zip(before, after, strict=True))
    assert moved / len(KEYS) <= 1 / count + 0.05


@pytest.mark.parametrize("count", [3, 8, 50, 200])
def test_a_member_that_comes_takes_few_keys(picker, count):
    members = stills(count + 1)
    before, after = placed(picker, members[:-1]), placed(picker, members)
    moved = sum(was != now for was, now in zip(before, after, strict=True))
    assert moved / len(KEYS) <= 1 / count + 0.05


@pytest.mark.parametrize("count", [2, 8, 20])
def test_parts_are_about_even(picker, uneven, count):
    found = counted(Still(name) for name in placed(picker, stills(count)))
    assert max(found.values()) < uneven * len(KEYS) / count
    assert min(found.values()) > len(KEYS) / count / uneven


def test_parts_follow_weights(picker):
    members = (Still("a:1", 6), Still("b:1", 3), Still("c:1", 1))
    found = counted(Still(name) for name in placed(picker, members))
    assert found["a:1"] / len(KEYS) == pytest.approx(0.6, abs=0.06)
    assert found["c:1"] / len(KEYS) == pytest.approx(0.1, abs=0.03)


def test_every_gateway_finds_the_same_member_in_whatever_order_they_come(picker):
    members = stills(20)
    shuffled = tuple(Random(5).sample(members, 20))
    assert placed(picker, members) == placed(picker, shuffled)


@pytest.mark.parametrize("count", [1, 2, 30])
@pytest.mark.parametrize("balance", [0, 150])
def test_only_usable_members_and_always_one_where_there_is_one(picker, count, balance):
    members = stills(count)
    chosen = picker(balance)
    for usable in members:
        for key in KEYS[:10]:
            assert chosen.pick(members, lambda member, usable=usable: member is usable, key) is usable
    assert chosen.pick(members, lambda _: False, b"k") is None
    assert chosen.pick((), anyone, b"k") is None
    assert chosen.pick((), anyone, None) is None


def test_a_heavy_member_that_is_out_does_not_hide_the_others(picker):
    members = (Still("a:1", 1000), Still("b:1", 1))
    assert picker().pick(members, lambda member: member.name == "b:1", b"k") is members[1]


def test_loads_are_bounded_for_one_hot_key(picker):
    """All ask for the same: no member gets more than half above the average."""
    members = stills(8)
    chosen = picker(150)
    for _ in range(800):
        chosen.pick(members, anyone, b"hot").active += 1
    assert max(member.active for member in members) <= 150 + 1


def test_a_member_with_room_keeps_its_keys_however_full_others_are(picker):
    members = stills(8)
    before = placed(picker, members)
    full = members[3]
    full.active = 100
    after = placed(picker, members, balance=150)
    assert {was for was, now in zip(before, after, strict=True) if was != now} == {full.name}


def test_without_a_key_at_random(picker):
    members = stills(5)
    chosen = picker()
    assert len(counted(chosen.pick(members, anyone, None) for _ in range(200))) == 5


def test_members_that_change_are_noticed(picker):
    chosen = picker()
    assert chosen.pick(stills(8), anyone, b"k") is not None
    few = stills(2)
    assert chosen.pick(few, anyone, b"k") in few
