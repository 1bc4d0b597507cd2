"""What chooses the members of an endpoint."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.endpoint import LoadBalancing
from routing.pools.choosing import chooser, load_settings
from routing.pools.ewma import LoadSettings
from tests.routing.pools.members import Still

POLICIES = ["least_request", "round_robin", "random", "ring_hash", "maglev"]


@pytest.mark.parametrize(
    ("policy", "zone", "expected"),
    [
        ("least_request", "", "<LeastRequest of 2>"),
        ("least_request", "a", "<OwnZoneFirst a: <LeastRequest of 2>>"),
        ("round_robin", "", "<RoundRobin>"),
        ("random", "a", "<OwnZoneFirst a: <RandomMember>>"),
        ("ring_hash", "a", "<RingHash 0 places, <Bounds 150%>>"),
        ("maglev", "a", "<Maglev <Bounds 150%>>"),
    ],
)
def test_as_the_policy_says(policy, zone, expected):
    assert repr(chooser(LoadBalancing(policy=policy), Random(1), zone)) == expected


def test_zones_and_choices_can_be_set():
    balancing = LoadBalancing(zone_aware=False, choice_count=5)
    assert repr(chooser(balancing, Random(1), "a")) == "<LeastRequest of 5>"


def test_the_defaults_of_policy_and_loads_agree():
    assert load_settings(LoadBalancing()) == LoadSettings()
    changed = load_settings(LoadBalancing(slow_start_window_s=5, min_weight_percent=50))
    assert (changed.slow_start_window_s, changed.min_warmth) == (5, 0.5)


MEMBERS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 2.0, 1000.0]),
        st.sampled_from(["", "a", "b"]),
        st.sampled_from([0.1, 1.0]),
        st.integers(0, 20),
        st.sampled_from([0.0, 0.01, 3.0, 1e6, 2e6]),
        st.booleans(),
    ),
    max_size=7,
)


@pytest.mark.parametrize("policy", POLICIES)
@given(MEMBERS, st.integers(2, 5), st.sampled_from(["", "a"]), st.none() | st.binary(max_size=4))
def test_whatever_the_members_are_one_that_is_usable_or_none(policy, drawn, choices, zone, key):
    members = tuple(Still(f"m{i}:1", *values[:5]) for i, values in enumerate(drawn))
    usable = {f"m{i}:1" for i, values in enumerate(drawn) if values[5]}
    picker = chooser(LoadBalancing(policy=policy, choice_count=choices), Random(1), zone)
    for _ in range(3):
        found = picker.pick(members, lambda member: member.name in usable, key)
        assert (found.name in usable) if found is not None else not usable
