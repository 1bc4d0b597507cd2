"""A policy that is wrong in very many places."""

from __future__ import annotations

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
