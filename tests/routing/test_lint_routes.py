"""The lint rules about routes."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from routing.problem import Path
from tests.fakes.calls import counted_calls
from tests.routing.policies import endpoint, policy, route, values


def found(*routes: dict[str, Any], **changes: Any) -> list[tuple[str, Path]]:
    return [(problem.rule, problem.path) for problem in problems(policy(routes=list(routes), **changes))]


@pytest.mark.parametrize(
    ("broken", "rule", "path"),
    [
        (route(endpoints=["central", "centrall"]), "EW103", ("routes", 0, "endpoints", 1)),
        (route("digits", "digits", "acmee"), "EW105", ("routes", 0, "match", "tenants", 0)),
        (route(model="m" * 257), "EW109", ("routes", 0, "match", "model")),
        (route(model="**"), "EW109", ("routes", 0, "match", "model")),
        (route(model=""), "EW109", ("routes", 0, "match", "model")),
        (route(endpoints=[]), "EW114", ("routes", 0)),
        (route(endpoints=["eu-west-gw"]), "EW114", ("routes", 0)),
        (route(endpoints=["central", "central"]), "EW108", ("routes", 0, "endpoints", 1)),
        (route("digits", "digits", "acme", "acme"), "EW108", ("routes", 0, "match", "tenants", 1)),
        (route("digits", "digits", "*", "acme"), "EW206", ("routes", 0, "match", "tenants")),
        (route(), "EW202", ("routes", 0, "endpoints")),
        (route(), "EW205", ("endpoints", "eu-west-gw")),
        (route(digest=""), "EW208", ("routes", 0, "cache")),
        (route(digest="", endpoints=[], cascade={}), "EW208", ("routes", 0, "cache")),
        (route(model="*", cascade={}), "EW115", ("routes", 0, "cascade")),
        (route(model="digits*", cascade={}), "EW115", ("routes", 0, "cascade")),
        ({"name": "all", "cascade": {}}, "EW115", ("routes", 0, "cascade")),
    ],
)
def test_rule_finds_its_problem(broken: dict[str, Any], rule: str, path: Path) -> None:
    """Each rule has a stable id and leads to the value at fault."""
    assert (rule, path) in found(broken)


def test_unknown_endpoint_is_reported_once() -> None:
    """Where the endpoint is misspelt the route is not also called mute."""
    assert "EW114" not in [rule for rule, _ in found(route(endpoints=["centrall"]))]


def test_disabled_cache_needs_no_digest() -> None:
    """Without a cache the digest decides nothing."""
    assert "EW208" not in [rule for rule, _ in found(route(digest="", cache={"enabled": False}))]


def test_cascade_alone_is_enough() -> None:
    """A route may live from its edge model."""
    rules = [rule for rule, _ in found(route(endpoints=[], cascade={}))]

    assert "EW114" not in rules
    assert "EW202" not in rules


@pytest.mark.parametrize(
    ("cascade", "outcome"), [(None, "every request is refused"), ({}, "only the edge model may answer")]
)
def test_class_without_central_endpoint_learns_its_fate(cascade: Any, outcome: str) -> None:
    """Lint tells a tenant in Europe what a central tier in the United States means."""
    listed = problems(policy(routes=[route(cascade=cascade)]))

    assert [problem.message for problem in listed if problem.rule == "EW202"] == [
        f"class 'eu-only' allows no central endpoint of this route: {outcome}"
    ]


def test_two_routes_may_not_share_a_name() -> None:
    """The name is a label in metrics and logs."""
    assert ("EW112", ("routes", 1, "name")) in found(route("a", "x"), route("a", "y"))


@pytest.mark.parametrize(
    ("earlier", "later", "dead"),
    [
        ([route("a", "*")], route("b", "digits"), True),
        ([route("a", "dig*")], route("b", "digits"), True),
        ([route("a", "dig*")], route("b", "digits*"), True),
        ([route("a", "digits*")], route("b", "dig*"), False),
        ([route("a", "digits", "acme")], route("b", "digits"), False),
        ([route("a", "digits", "acme"), route("c", "*", "anonymous")], route("b", "digits"), True),
        ([route("a", "digits", "acme")], route("b", "digits", "acme"), True),
        ([route("a", "digits", "acme")], route("b", "digits", "anonymous"), False),
        ([route("a", "*")], route("b", "digits", "stranger"), False),
    ],
)
def test_route_that_others_shadow_is_dead(
    earlier: list[dict[str, Any]], later: dict[str, Any], dead: bool
) -> None:
    """A route is dead when each of its tenants is taken, with all its models, by an earlier route."""
    rules = found(*earlier, later)

    assert (("EW113", ("routes", len(earlier))) in rules) is dead


def test_shadow_is_named() -> None:
    """The message names the routes that take the requests."""
    listed = problems(policy(routes=[route("a", "x", "acme"), route("c", "*"), route("b", "x")]))

    assert [problem.message for problem in listed if problem.rule == "EW113"] == [
        "no request gets here: taken by 'c', 'a' before"
    ]


def test_shadows_of_many_tenants_are_hinted_at() -> None:
    """A message does not name the routes of a thousand tenants."""
    tenants = {f"t{number:02}": {"residency": "anywhere"} for number in range(20)}
    earlier = [route(f"for-{name}", "x", name) for name in tenants]
    listed = problems(policy(tenants=tenants, routes=[*earlier, route("late", "x")]))

    (message,) = (problem.message for problem in listed if problem.rule == "EW113")

    assert message.endswith("'for-t06', 'for-t07', … before")


def test_cascade_of_a_pattern_says_what_to_do() -> None:
    """An edge model is one model: the message names the pattern and the way out."""
    listed = problems(policy(routes=[route(model="digits*", cascade={})]))

    (message,) = (problem.message for problem in listed if problem.rule == "EW115")

    assert "'digits*' stands for many" in message
    assert "name the model in full in match.model" in message


def test_large_policy_is_linted_in_one_pass() -> None:
    """Work grows with the file, not with its square: the rules are asked about each tenant once per table."""

    def calls_for(number: int) -> int:
        tenants = {f"t{index}": {"residency": "eu-only"} for index in range(number)}
        routes = [route(f"r{index}", f"m{index}") for index in range(number)]
        large = policy(tenants=tenants, routes=routes)
        with counted_calls() as calls:
            assert "EW113" not in {problem.rule for problem in problems(large)}
        return calls.number

    assert calls_for(3000) < 15 * calls_for(300)


def test_region_that_nobody_knows_is_no_central_region() -> None:
    """An endpoint in an unknown region is told as that, and the route is still checked."""
    endpoints = values()["endpoints"] | {"central": endpoint("mars")}

    assert ("EW102", ("endpoints", "central", "region")) in found(route(), endpoints=endpoints)
