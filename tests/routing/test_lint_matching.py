"""What is wrong with the conditions of routes."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from routing.problem import Path
from tests.routing.policies import policy, route


def found(*matches: dict[str, Any], **changes: Any) -> list[tuple[str, Path]]:
    """Return the problems of routes with these conditions."""
    routes = [route(f"r{number}") | {"match": match} | changes for number, match in enumerate(matches)]
    return [(problem.rule, problem.path) for problem in problems(policy(routes=routes))]


MATCH = ("routes", 0, "match")


@pytest.mark.parametrize(
    ("match", "rule", "path"),
    [
        ({"headers": {"X-a": {}}}, "EW141", (*MATCH, "headers", "X-a")),
        ({"headers": {"x-a": {"exact": "a", "prefix": "b"}}}, "EW141", (*MATCH, "headers", "x-a")),
        ({"headers": {"x-a": {"regex": "("}}}, "EW141", (*MATCH, "headers", "x-a", "regex")),
        ({"headers": {"x-a": {"regex": r"(a)\1"}}}, "EW141", (*MATCH, "headers", "x-a", "regex")),
        ({"headers": {"Authorization": "a"}}, "EW142", (*MATCH, "headers", "Authorization")),
        ({"headers": {"x-edgeway-tenant": "a"}}, "EW142", (*MATCH, "headers", "x-edgeway-tenant")),
        ({"headers": {"a b": "a"}}, "EW142", (*MATCH, "headers", "a b")),
        ({"headers": {"x-a": "a", "X-A": "b"}}, "EW142", (*MATCH, "headers", "X-A")),
        ({"networks": ["10.0.0.1/8"]}, "EW143", (*MATCH, "networks", 0)),
        ({"networks": ["ten"]}, "EW143", (*MATCH, "networks", 0)),
        ({"places": ["XX"]}, "EW106", (*MATCH, "places", 0)),
        ({"places": ["EU", "DE"]}, "EW240", (*MATCH, "places", 1)),
        ({"networks": ["10.0.0.0/8", "10.1.0.0/16"]}, "EW240", (*MATCH, "networks", 1)),
        ({"percent": 0}, "EW241", (*MATCH, "percent")),
    ],
)
def test_rule_finds_its_problem(match: dict[str, Any], rule: str, path: Path) -> None:
    """Each rule leads to the value at fault."""
    assert (rule, path) in found(match)


TEAM = {"headers": {"x-team": "a"}}


@pytest.mark.parametrize(
    ("first", "second", "dead"),
    [
        (TEAM, TEAM, True),
        (TEAM, TEAM | {"version": "2"}, True),
        (TEAM, TEAM | {"model": "m", "percent": 5}, True),
        (TEAM | {"model": "m*"}, TEAM | {"model": "m?1"}, True),
        (TEAM | {"version": "2"}, TEAM, False),
        ({"asns": [1]}, {"asns": [1], "version": "2"}, True),
        ({"asns": [1]}, {"asns": [1, 2]}, False),
        ({"asns": [1]}, {"version": "2"}, False),
        (TEAM | {"percent": 5}, TEAM, False),
        (TEAM | {"tenants": ["acme"]}, TEAM, False),
        (TEAM, {"headers": {"x-team": "b"}}, False),
        (TEAM, {}, False),
    ],
)
def test_a_route_behind_one_that_asks_for_no_more(
    first: dict[str, Any],
    second: dict[str, Any],
    dead: bool,
) -> None:
    """It is dead; one that asks for something else, or is left a part, is not."""
    rules = found(first, second)

    assert (("EW140", ("routes", 1)) in rules) is dead
    assert "EW113" not in [rule for rule, _ in rules]


def test_what_is_tried_one_by_one_is_few() -> None:
    """Percentages, patterns and headers beyond what a request can go through are refused."""
    drawn = found(*[{"percent": 1} for _ in range(17)])
    patterns = found(*[{"model": f"*{number}"} for number in range(65)])
    headers = found(*[{"headers": {f"x-{number}": "a"}} for number in range(17)])

    assert [path for rule, path in drawn if rule == "EW144"] == [("routes", 16, "match")]
    assert ("EW144", ("routes",)) in patterns
    assert ("EW144", ("routes",)) in headers
    assert not [each for each in found(*[{"percent": 1} for _ in range(16)]) if each[0] == "EW144"]


def test_expressions_are_tried_together() -> None:
    """Up to 64 of one header; beyond that only so many as may be tried one by one."""
    together = found(*[{"headers": {"x-user": {"regex": f"u{number}.*"}}} for number in range(64)])
    too_many = found(*[{"headers": {"x-user": {"regex": f"u{number}.*"}}} for number in range(65)])

    assert not [rule for rule, _ in together if rule == "EW144"]
    assert [path for rule, path in too_many if rule == "EW144"] == [("routes", 16, "match")]


@pytest.mark.parametrize(
    ("changes", "rule", "path"),
    [
        ({"versions": {"1": 95, "2": 4}}, "EW145", ("routes", 0, "versions")),
        ({"versions": {"1": 100}, "cascade": {}}, "EW146", ("routes", 0, "versions")),
        ({"version_override": ["acme"]}, "EW147", ("routes", 0, "version_override")),
        ({"versions": {"1": 100, "2": 0}}, "EW242", ("routes", 0, "versions", "2")),
        (
            {"versions": {"1": 100}, "version_override": ["acne"]},
            "EW105",
            ("routes", 0, "version_override", 0),
        ),
    ],
)
def test_rules_of_versions(changes: dict[str, Any], rule: str, path: Path) -> None:
    """Percentages, and who may choose."""
    assert (rule, path) in found({"model": "digits"}, **changes)


def test_a_split_that_is_sound() -> None:
    """A version that only the header gives is no mistake."""
    versions = {"versions": {"1": 100, "2": 0}, "version_override": ["acme"]}

    assert not {"EW145", "EW146", "EW147", "EW242"} & {rule for rule, _ in found({}, **versions)}
    assert "EW147" in [rule for rule, _ in found({"version": "1"}, **versions)]
