"""Levels by labels, as Istio's failoverPriority has them; weights; distances."""

from __future__ import annotations

from routing.policy import Policy
from routing.rules.locality import distances, least_round_trips_s, levels, weights_of
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


def grouped(made: Policy, own: str) -> tuple[tuple[str, ...], ...]:
    names = made.routes[0].endpoints
    found = levels(made, own, names)
    return tuple(
        tuple(name for name in names if found[name] == level) for level in sorted(set(found.values()))
    )


def test_equal_ones_from_the_first_on():
    """A label that differs ends it: what comes behind counts no more. An endpoint's own label goes first."""
    assert grouped(world("country", "region"), "a") == (("at-a",), ("moved", "at-b"), ("at-c",))
    assert grouped(world("provider", "country"), "a") == (("moved", "at-a"), ("at-c",), ("at-b",))


def test_another_value_than_ones_own():
    assert grouped(world("region=b"), "a") == (("at-b",), ("moved", "at-c", "at-a"))


def test_a_label_that_the_own_region_lacks_equals_nothing():
    assert grouped(world("country"), "c") == (("moved", "at-c", "at-b", "at-a"),)


def test_what_a_policy_says():
    distribute = [{"from": "eu-west", "to": {"eu-west": 80, "us-east": 20}}]
    made = policy(locality={"mode": "distribute", "distribute": distribute})
    assert weights_of(made, "eu-west") == {"eu-west": 80, "us-east": 20}
    assert weights_of(made, "us-east") is None
    assert weights_of(policy(), "eu-west") is None
    names = ("central", "central-eu")
    assert (
        levels(made, "eu-west", names)
        == distances(made, "eu-west", names)
        == {"central": 0, "central-eu": -1}
    )
    labelled = policy(locality={"mode": "failover_priority", "failover_priority": ["region"]})
    assert levels(labelled, "us-east", names) == {"central": 0, "central-eu": 1}


def test_distances_until_they_are_measured():
    """The own region is here, wherever that is; what has no location is the furthest."""
    made = policy(
        regions={
            "eu-west": {"location": {"latitude": 53.3, "longitude": -6.3}},
            "us-east": {"location": {"latitude": 39, "longitude": -77.5}},
            "ap-south": {},
        }
    )
    found = least_round_trips_s(made, "eu-west", ("central", "central-eu", "ap-south-gw"))
    assert found["central-eu"] == 0 < found["central"] < 0.06 < found["ap-south-gw"]
    assert least_round_trips_s(made, "ap-south", ("ap-south-gw",)) == {"ap-south-gw": 0}
