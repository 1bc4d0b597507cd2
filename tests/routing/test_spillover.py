"""Endpoints at their capacity."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import LoopClock
from routing.policy import Policy
from routing.preference import Order, preference
from routing.spillover import Spillover, within_capacity
from tests.routing.policies import Health, endpoint, policy, route

NAMES = ("a", "b", "c", "d")


class AsListed:
    """Keeps the order."""

    def order(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return names


def ordered(*full: str, out: tuple[str, ...] = (), regions: dict[str, str] | None = None) -> tuple[str, ...]:
    health = Health(*out)
    health.full.update(full)
    return Spillover(AsListed(), health, regions).order(NAMES)


@pytest.mark.parametrize(
    ("full", "expected"),
    [
        ((), "abcd"),
        (("a",), "bcda"),
        (("a", "b"), "cdab"),
        (("a", "c"), "bdac"),
        (("b",), "abcd"),
        (NAMES, "abcd"),
    ],
)
def test_the_full_come_last(full: tuple[str, ...], expected: str) -> None:
    """In their order; the first has to be full for anything to change, and where all are nothing does."""
    assert "".join(ordered(*full)) == expected


def test_who_is_out_is_not_the_first() -> None:
    """The one that would get the request is looked at."""
    assert ordered("b", out=("a",)) == ("a", "c", "d", "b")
    assert ordered("a", out=NAMES) == NAMES


def test_weights_of_regions_stay() -> None:
    """Requests that were drawn for a region find another endpoint there, and no other region."""
    regions = {"a": "eu", "b": "eu", "c": "us", "d": "us"}

    assert ordered("a", regions=regions) == ("b", "a", "c", "d")
    assert ordered("a", "b", regions=regions) == NAMES
    assert ordered("a", regions=dict.fromkeys(NAMES, "eu")) == ("b", "c", "d", "a")


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_nobody_is_lost_or_added(full: set[str], out: set[str]) -> None:
    """Whoever is full or out: the same endpoints, each once."""
    assert sorted(ordered(*full, out=tuple(out))) == list(NAMES)


def order_of(made: Policy, health: Health) -> Order:
    inner = preference(made, "eu", list(NAMES), health, clock=LoopClock(), chance=Random(1))
    return within_capacity(inner, made, "eu", list(NAMES), health)


def made(mode: str, **capacities: float) -> Policy:
    regions = {"a": "eu", "b": "eu", "c": "us", "d": "us"}
    more = {"distribute": [{"from": "eu", "to": {"eu": 99, "us": 1}}]} if mode == "distribute" else {}
    return policy(
        regions={"eu": {}, "us": {}},
        failover={"eu": ["us"]},
        locality={"mode": mode, **more},
        endpoints={
            name: endpoint(region, capacity_rps=capacities.get(name)) for name, region in regions.items()
        },
        residency={"anywhere": {"regions": ["*"]}},
        tenants={"anonymous": {"residency": "anywhere"}},
        places={},
        routes=[route(endpoints=list(NAMES))],
    )


@pytest.mark.parametrize("mode", ["failover", "nearest"])
def test_it_spills_as_far_as_the_order_goes(mode: str) -> None:
    """The next endpoint of the region first, then the next region."""
    health = Health()
    order = order_of(made(mode, a=10), health)
    assert order.order(NAMES)[0] == "a"
    health.full = {"a"}
    assert order.order(NAMES)[0] == "b"
    health.full = {"a", "b"}
    assert order.order(NAMES)[0] == "c"


def test_it_does_not_leave_a_region_with_a_weight() -> None:
    """Its part is its part."""
    health = Health()
    order = order_of(made("distribute", a=10), health)
    health.full = {"a", "b"}
    firsts = [order.order(NAMES)[0] for _ in range(200)]

    assert firsts.count("a") > 190
    assert repr(order) == "<Spillover of <ByWeight {'eu': 99, 'us': 1}>>"


def test_without_capacities_there_is_no_such_layer() -> None:
    """It costs nobody anything who does not use it."""
    assert not isinstance(order_of(made("failover"), Health()), Spillover)
