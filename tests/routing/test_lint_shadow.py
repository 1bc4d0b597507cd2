"""What is wrong with shadows."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from routing.problem import Path
from tests.routing.policies import endpoint, policy, route, values

SHADOW: Path = ("routes", 0, "shadow")


def found(
    shadow: dict[str, Any], changes: dict[str, Any] | None = None, **more: Any
) -> list[tuple[str, Path]]:
    routes = [route(shadow=shadow, **more)]
    return [
        (problem.rule, problem.path)
        for problem in problems(policy(routes=routes, **(changes or {})))
        if "shadow" in problem.path
    ]


@pytest.mark.parametrize(
    ("shadow", "rule", "path"),
    [
        ({"endpoints": ["centrall"]}, "EW103", (*SHADOW, "endpoints", 0)),
        ({"endpoints": ["central", "central"]}, "EW108", (*SHADOW, "endpoints", 1)),
        ({}, "EW170", SHADOW),
        ({"percent": 50}, "EW170", SHADOW),
        ({"endpoints": ["eu-west-gw"]}, "EW171", (*SHADOW, "endpoints", 0)),
        (
            {"version": "2", "compare": {"top1": ["a", "b"], "ignore": ["b"]}},
            "EW173",
            (*SHADOW, "compare", "top1", 1),
        ),
        ({"version": "2", "percent": 0}, "EW270", (*SHADOW, "percent")),
        ({"version": "2"}, "EW271", SHADOW),
        ({"endpoints": ["central"]}, "EW271", SHADOW),
    ],
)
def test_rule_finds_its_problem(shadow: dict[str, Any], rule: str, path: Path) -> None:
    """Each rule leads to the value at fault; EW271: acme may only be seen in eu-west."""
    assert (rule, path) in found(shadow)


@pytest.mark.parametrize(
    "shadow",
    [
        {"version": "2", "endpoints": ["central-eu"]},
        {"endpoints": ["central", "central-eu"], "percent": 1},
        {"version": "2", "endpoints": ["central-eu"], "compare": {"top1": ["a"], "ignore": ["b"]}},
    ],
)
def test_a_sound_shadow_is_left_alone(shadow: dict[str, Any]) -> None:
    """Its endpoints count as used, too."""
    assert found(shadow) == []
    rules = {problem.path: problem.rule for problem in problems(policy(routes=[route(shadow=shadow)]))}
    assert rules.get(("endpoints", "central-eu")) is None


def test_what_answers_is_not_asked_again() -> None:
    """The shadow's version is the only one that the route has."""
    assert ("EW170", (*SHADOW, "version")) in found({"version": "2"}, versions={"2": 100})
    assert ("EW170", (*SHADOW, "version")) not in found({"version": "2"}, versions={"1": 95, "2": 5})


def test_a_route_without_central_endpoints_names_some() -> None:
    """Its edge model answers, and there is nobody to be compared with."""
    assert ("EW172", SHADOW) in found({"version": "2"}, cascade={}, endpoints=["eu-west-gw"])
    assert ("EW172", SHADOW) not in found({"endpoints": ["central"]}, cascade={}, endpoints=["eu-west-gw"])


def test_drained_endpoints_get_nothing() -> None:
    """All of them: one that is not drained is enough."""
    endpoints = values()["endpoints"] | {"central-eu": endpoint("eu-west", drain=True)}

    assert ("EW270", SHADOW) in found({"endpoints": ["central-eu"]}, {"endpoints": endpoints})
    assert ("EW270", SHADOW) not in found({"endpoints": ["central-eu", "central"]}, {"endpoints": endpoints})


def test_an_unknown_name_is_said_once() -> None:
    """No other rule speaks of an endpoint that is not there."""
    assert found({"endpoints": ["nobody"]}) == [("EW103", (*SHADOW, "endpoints", 0))]
