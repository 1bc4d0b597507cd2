"""Bounded loads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.pools.bounds import Bounds
from tests.routing.pools.members import anyone, stills


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 50)), min_size=1, max_size=12),
    st.integers(110, 300),
    st.randoms(),
)
def test_nobody_gets_more_than_its_part(loads, percent, random):
    """What is chosen has at most the factor of the average under way, by weight, this request included."""
    members = stills(len(loads))
    for member, (weight, active) in zip(members, loads, strict=True):
        member.weight, member.active = weight, active
    order = random.sample(range(len(members)), len(members))
    found = Bounds(members, percent).first(order, members, anyone)
    total, weights = sum(m.active for m in members) + 1, sum(m.weight for m in members)
    assert found is not None
    assert found.active + 1 <= max(1, percent / 100 * total * found.weight / weights + 1)


@given(st.integers(0, 5), st.sets(st.integers(0, 5)))
def test_without_a_bound_the_first_usable_one(start, usable):
    members = stills(6)
    members[start].active = 1000
    order = [(start + step) % 6 for step in range(6)]
    expected = next((members[i] for i in order if i in usable), None)
    assert Bounds(members, 0).first(order, members, lambda m: members.index(m) in usable) is expected


def test_a_full_member_passes_on_and_the_rest_stays():
    members = stills(3)
    members[0].active = 9
    bounds = Bounds(members, 150)
    assert bounds.first([0, 2, 1], members, anyone) is members[2]
    assert bounds.first([1, 2, 0], members, anyone) is members[1]


def test_where_all_usable_ones_are_full_the_one_with_most_room():
    members = stills(4)
    members[0].active, members[1].active = 9, 8
    found = Bounds(members, 110).first([0, 1, 2, 3], members, lambda m: m in members[:2])
    assert found is members[1]


def test_a_cold_member_has_a_smaller_part():
    members = stills(2)
    members[0].active = members[1].active = 4
    members[0].warmth = 0.1
    assert Bounds(members, 150).first([0, 1], members, anyone) is members[1]


def test_positions_may_come_repeatedly():
    members = stills(2)
    seen = []

    def is_usable(member):
        seen.append(member)
        return False

    assert Bounds(members, 150).first([0, 0, 1, 0, 1], members, is_usable) is None
    assert len(seen) == 2


@pytest.mark.parametrize(("percent", "shown"), [(150, "<Bounds 150%>"), (0, "<Bounds: none>")])
def test_shows_itself(percent, shown):
    assert repr(Bounds(stills(2), percent)) == shown
