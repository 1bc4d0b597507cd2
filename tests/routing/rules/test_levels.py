"""Levels by labels, as Istio's failoverPriority has them."""

from __future__ import annotations

from routing.policy import Policy
from routing.rules.levels import common_labels, grouped
from tests.routing.policies import endpoint, policy

LABELS = {
    "a": {"country": "DE", "provider": "x"},
    "b": {"country": "DE", "provider": "y"},
    "c": {"provider": "x"},
}


def world(*labels: str) -> Policy:
    return policy(
        regions={name: {"labels": each} for name, each in LABELS.items()},
        endpoints={
            "at-a": endpoint("a"),
            "at-b": endpoint("b"),
            "at-c": endpoint("c"),
            "moved": endpoint("c", labels={"country": "DE"}),
        },
        residency={"anywhere": {"regions": ["*"]}},
        tenants={"anonymous": {"residency": "anywhere"}},
        places={},
        failover={},
        routes=[{"name": "all", "endpoints": ["moved", "at-c", "at-b", "at-a"]}],
        locality={"mode": "failover_priority", "failover_priority": list(labels)},
    )


def levels(made: Policy, own: str) -> tuple[tuple[str, ...], ...]:
    names = made.routes[0].endpoints
    return grouped(names, common_labels(made, own, names))


def test_equal_ones_from_the_first_on():
    """A label that differs ends it: what comes behind counts no more. An endpoint's own label goes first."""
    assert levels(world("country", "region"), "a") == (("at-a",), ("moved", "at-b"), ("at-c",))
    assert levels(world("provider", "country"), "a") == (("moved", "at-a"), ("at-c",), ("at-b",))


def test_another_value_than_ones_own():
    assert levels(world("region=b"), "a") == (("at-b",), ("moved", "at-c", "at-a"))


def test_a_label_that_the_own_region_lacks_equals_nothing():
    assert levels(world("country"), "c") == (("moved", "at-c", "at-b", "at-a"),)
