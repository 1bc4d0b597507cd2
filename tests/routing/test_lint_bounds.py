"""A policy that is wrong in very many places."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from routing.lint import MAX_ERRORS, problems
from routing.policy import MAX_ROUTES
from tests.routing.policies import policy


def test_of_each_check_the_first_errors_are_told() -> None:
    """Nobody reads more, and to find the names that were meant takes time."""
    labels = [f"l{number}" for number in range(MAX_ERRORS + 50)]
    made = policy(locality={"mode": "failover_priority", "failover_priority": labels})

    found = [problem for problem in problems(made) if problem.rule == "EW123"]

    assert len(found) == MAX_ERRORS
    assert found[0].path == ("locality", "failover_priority", 0)


def test_warnings_hide_no_error_behind_them() -> None:
    """However many things are odd, what is wrong keeps the policy from coming into force."""
    endpoint = {"tier": "central", "region": "eu-west", "protocol": "http", "addresses": ["10.0.0.1:1"]}
    exposed = {"file": "/run/secret"}
    endpoints = {f"e{number}": {**endpoint, "credential": exposed} for number in range(MAX_ERRORS + 50)}
    endpoints["last"] = {**endpoint, "credential": {}}
    made = policy(endpoints=endpoints, routes=[{"name": "r", "endpoints": list(endpoints)}])

    assert "EW134" in {problem.rule for problem in problems(made)}


def test_too_many_routes_are_refused_by_their_number() -> None:
    """Before anything looks at them."""
    routes = [{"name": f"r{number}"} for number in range(MAX_ROUTES + 1)]
    with pytest.raises(msgspec.ValidationError, match="length <= 3000"):
        policy(routes=routes)


def test_what_is_many_is_not_compared_with_all_else() -> None:
    """Classes by routes, places by classes, patterns by patterns: each is told of once, or not compared."""
    classes = {f"class-{number}": {"regions": ["eu-west"]} for number in range(300)}
    tenants = {f"tenant-{number}": {"residency": f"class-{number}"} for number in range(300)}
    listed = problems(
        policy(
            residency={"us-only": {"regions": ["us-east"]}, **classes},
            tenants={"anonymous": {"residency": "us-only"}, **tenants},
            places={"DE": "us-only", "FR": "us-only"},
            routes=[
                {"name": f"r{number}", "match": {"model": f"model-{number}"}, "endpoints": ["central"]}
                for number in range(300)
            ],
        )
    )
    told = Counter(problem.rule for problem in listed)

    assert told["EW203"] == 2 * 8
    assert told["EW202"] == MAX_ERRORS
    assert "class 'class-0' (nor do 299 more)" in next(
        each.message for each in listed if each.rule == "EW202"
    )


def test_too_many_patterns_are_not_compared_with_each_other() -> None:
    """They are refused for their number; each comparison goes through a pattern."""
    many = [
        {"name": f"r{number}", "match": {"model": f"*x{number}*"}, "endpoints": ["central"]}
        for number in range(70)
    ]

    rules = {problem.rule for problem in problems(policy(routes=[*many, *many[:1]]))}

    assert "EW144" in rules
    assert not {"EW113", "EW140"} & rules
