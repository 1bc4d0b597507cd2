"""Orders of endpoints: overflow between levels, weights of regions."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.clock import LoopClock
from routing.nearest import Nearest
from routing.preference import ByPriority, ByWeight, Order, preference
from tests.routing.policies import policy

DRAWS = 20_000


class Strengths(dict[str, tuple[int, int]]):
    def strength(self, endpoint: str) -> tuple[int, int]:
        return self[endpoint]


def firsts(order: ByPriority | ByWeight, names: tuple[str, ...]) -> dict[str, float]:
    counted = Counter(order.order(names)[0] for _ in range(DRAWS))
    return {name: 100 * count / DRAWS for name, count in counted.items()}


def within(percent: float, expected: float) -> bool:
    """Three standard deviations of a drawn share."""
    share = expected / 100
    return abs(percent - expected) <= 300 * (share * (1 - share) / DRAWS) ** 0.5


def test_a_whole_level_gets_everything_without_a_draw():
    order = ByPriority({"a": 0, "b": 1}, Strengths(a=(3, 4), b=(1, 1)), 140, Random(0))
    assert order.order(("b", "a")) == ("a", "b")
    assert firsts(order, ("a", "b")) == {"a": 100.0}


def test_what_it_cannot_carry_goes_to_the_next():
    """Half of it well is 70 % of the load (Envoy)."""
    order = ByPriority({"a": 0, "b": 1, "c": 2}, Strengths(a=(2, 4), b=(4, 4), c=(4, 4)), 140, Random(0))
    shares = firsts(order, ("a", "b", "c"))
    assert within(shares["a"], 70) and within(shares["b"], 30) and "c" not in shares


def test_equal_ones_keep_the_order_of_the_route():
    order = ByPriority({"a": 1, "b": 0, "c": 1}, Strengths(a=(1, 1), b=(1, 1), c=(1, 1)), 140, Random(0))
    assert order.order(("c", "a", "b")) == ("b", "c", "a")


def test_nothing_is_well_anywhere():
    order = ByPriority({"a": 0, "b": 1}, Strengths(a=(0, 1), b=(0, 1)), 140, Random(0))
    assert order.order(("a", "b")) == ("a", "b")


def weighted(strengths: Strengths, **weights: int) -> ByWeight:
    return ByWeight({"a": "eu", "a2": "eu", "b": "us", "c": "ap"}, weights, strengths, 140, Random(1))


WELL = Strengths(dict.fromkeys(("a", "a2", "b", "c"), (2, 2)))


def test_weights():
    order = weighted(WELL, eu=80, us=20)
    shares = firsts(order, ("a", "a2", "b"))
    assert within(shares["a"], 80) and within(shares["b"], 20)
    assert all(sorted(order.order(("a", "a2", "b"))) == ["a", "a2", "b"] for _ in range(100))
    assert order.order(("b",)) == ("b",) and order.order(()) == ()


@pytest.mark.parametrize("well", [8, 4, 0])
def test_a_weight_counts_as_far_as_it_can_be_carried(well: int):
    """4 of 8 well carry 70 % of 80, so 56 beside 20."""
    order = weighted(Strengths(a=(well, 8), b=(2, 2)), eu=80, us=20)
    carried = {8: 80, 4: 56, 0: 0}[well]
    assert within(firsts(order, ("a", "b")).get("a", 0.0), 100 * carried / (carried + 20))


def test_all_out_leaves_the_order_that_weights_give():
    order = weighted(Strengths(a=(0, 2), b=(0, 2)), eu=80, us=20)
    assert set(order.order(("a", "b"))) == {"a", "b"}


Names = st.lists(st.sampled_from(["a", "a2", "b", "c"]), unique=True).map(tuple)


@given(Names, st.lists(st.integers(0, 3), min_size=4, max_size=4), st.integers(0, 2**16), st.booleans())
def test_never_more_than_was_given(names: tuple[str, ...], well: list[int], seed: int, by_weight: bool):
    """Whatever is out, an order has no endpoint that residency did not leave."""
    strengths = Strengths(zip(("a", "a2", "b", "c"), [(each, 3) for each in well], strict=True))
    order: Order = ByPriority({"a": 0, "a2": 0, "b": 1, "c": 2}, strengths, 140, Random(seed))
    if by_weight:
        regions = {"a": "eu", "a2": "eu", "b": "us", "c": "ap"}
        order = ByWeight(regions, {"eu": 70, "us": 1, "ap": 29}, strengths, 140, Random(seed))
    found = order.order(names)
    assert sorted(found) == sorted(names)


class Everything(Strengths):
    def round_trip(self, endpoint: str) -> tuple[float, float] | None:
        return None

    def is_available(self, endpoint: str) -> bool:
        return endpoint in self


@pytest.mark.parametrize(
    ("locality", "own", "kind"),
    [
        ("failover", "eu-west", ByPriority),
        ("nearest", "eu-west", Nearest),
        ({"mode": "failover_priority", "failover_priority": ["region"]}, "eu-west", ByPriority),
        (
            {"mode": "distribute", "distribute": [{"from": "eu-west", "to": {"us-east": 100}}]},
            "eu-west",
            ByWeight,
        ),
        (
            {"mode": "distribute", "distribute": [{"from": "eu-west", "to": {"us-east": 100}}]},
            "us-east",
            ByPriority,
        ),
    ],
)
def test_what_a_policy_says(locality: Any, own: str, kind: type[Order]):
    names = ("central", "central-eu") if kind is not ByWeight else ("central",)
    view = Everything(dict.fromkeys(names, (1, 1)))
    found = preference(policy(locality=locality), own, names, view, clock=LoopClock(), chance=Random(0))
    assert isinstance(found, kind)
    assert sorted(found.order(names)) == sorted(names)
