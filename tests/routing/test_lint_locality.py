"""What is wrong with a policy's locality."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from tests.routing.policies import policy

LOCATED = {
    name: {"location": {"latitude": 1, "longitude": degrees}}
    for degrees, name in enumerate(("eu-west", "us-east", "ap-south"))
}


def found(locality: Any, **changes: Any) -> list[tuple[str, str]]:
    made = policy(locality=locality, **changes)
    wanted = ("EW12", "EW159", "EW22", "EW102")
    return [
        (problem.rule, ".".join(map(str, problem.path)))
        for problem in problems(made)
        if problem.rule.startswith(wanted)
    ]


def distribute(*lists: dict[str, Any]) -> dict[str, Any]:
    return {"mode": "distribute", "distribute": list(lists)}


@pytest.mark.parametrize(
    ("locality", "expected"),
    [
        ("failover", []),
        (
            distribute({"from": "eu-west", "to": {"eu-west": 80, "us-east": 20}}),
            [("EW222", "failover.eu-west")],
        ),
        (
            distribute({"from": "eu-west", "to": {"eu-west": 80, "us-east": 19}}),
            [("EW120", "locality.distribute.0.to"), ("EW222", "failover.eu-west")],
        ),
        (
            distribute({"from": "mars", "to": {"eu-west": 50, "venus": 50}}),
            [
                ("EW102", "locality.distribute.0.from"),
                ("EW102", "locality.distribute.0.to.venus"),
            ],
        ),
        (
            distribute(*[{"from": "eu-west", "to": {"eu-west": 100}}] * 2),
            [("EW121", "locality.distribute.1.from"), ("EW222", "failover.eu-west")],
        ),
        ("distribute", [("EW122", "locality")]),
        ("failover_priority", [("EW122", "locality")]),
        (
            {"mode": "nearest", "failover_priority": ["region"]},
            [("EW122", "locality.failover_priority"), ("EW221", "regions.eu-west")],
        ),
        (
            {"mode": "failover_priority", "failover_priority": ["region", "provider=x"]},
            [("EW123", "locality.failover_priority.1")],
        ),
        (
            {
                "mode": "failover_priority",
                "failover_priority": ["region", "region", "region=x", "region=", "=x", "="],
            },
            [("EW159", f"locality.failover_priority.{index}") for index in range(1, 6)],
        ),
        ("nearest", [("EW221", "regions.eu-west")]),
    ],
)
def test_rules(locality: Any, expected: list[tuple[str, str]]):
    assert found(locality) == expected


def test_nothing_is_wrong():
    assert found("nearest", regions=LOCATED) == []


def test_a_part_for_a_region_without_endpoints():
    routes = [{"name": "digits", "match": {"model": "digits"}, "endpoints": ["central"]}]
    locality = distribute({"from": "eu-west", "to": {"eu-west": 50, "us-east": 50}})
    assert ("EW220", "locality.distribute.0.to.eu-west") in found(locality, routes=routes)


@pytest.mark.parametrize(
    ("locality", "warned"),
    [
        ("failover", 3),
        ("nearest", 0),
        ({"mode": "failover_priority", "failover_priority": ["region"]}, 0),
        (distribute({"from": "eu-west", "to": {"eu-west": 100}}), 2),
    ],
)
def test_an_order_of_failover_is_missed_only_where_it_would_decide(locality, warned):
    rules = [problem.rule for problem in problems(policy(locality=locality, failover={}))]
    assert rules.count("EW201") == warned
