"""The lint rules about models that endpoints hold, and about what they carry."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import MAX_ERRORS, problems
from routing.problem import Path, Severity
from tests.routing.policies import endpoint, policy, route


def found(
    *lists: list[str],
    capacity: float | None = None,
    endpoints: tuple[str, ...] = ("a", "b"),
    **route_changes: Any,
) -> list[tuple[str, Path]]:
    """What is wrong with endpoints ``a`` and ``b`` that list these models, and with the one route."""
    defined = {name: endpoint("us-east", models=models) for name, models in zip("ab", lists, strict=True)}
    defined["a"]["capacity_rps"] = capacity
    made = policy(
        endpoints=defined,
        routes=[
            route(endpoints=list(endpoints), **{"cache": {"enabled": False}, "digest": "", **route_changes})
        ],
    )
    return [
        (problem.rule, problem.path)
        for problem in problems(made)
        if problem.rule.startswith(("EW15", "EW25", "EW108"))
    ]


@pytest.mark.parametrize(
    "lists",
    [
        ([], []),
        (["digits"], ["dig*"]),
        (["digits:1"], []),
        (["llama3?8b", "digits:v1.2-x"], ["*"]),
    ],
)
def test_sound(lists: tuple[list[str], list[str]]) -> None:
    assert found(*lists, model="*") == []
    assert [rule for rule, _ in found(*lists)] == []


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        (":1", "EW150"),
        ("digits:", "EW150"),
        ("digits:a b", "EW150"),
        ("digits:" + "9" * 65, "EW150"),
        ("a\x00b", "EW150"),
        (" digits", "EW150"),
        ("m" * 257, "EW150"),
        ("http://models:80/", "EW150"),
    ],
)
def test_what_is_no_name(entry: str, rule: str) -> None:
    """A version is what a route may name."""
    assert found([entry, "*"], []) == [(rule, ("endpoints", "a", "models", 0))]


def test_twice() -> None:
    assert found(["digits", "digits"], []) == [("EW108", ("endpoints", "a", "models", 1))]


@pytest.mark.parametrize(
    ("lists", "changes", "expected"),
    [
        ((["cats"], ["dogs"]), {}, [("EW250", ("routes", 0, "endpoints"))]),
        ((["cats"], []), {}, [("EW251", ("routes", 0, "endpoints", 0))]),
        ((["digits"], ["cats"]), {}, [("EW251", ("routes", 0, "endpoints", 1))]),
        ((["digits:1"], ["digits:2"]), {}, []),
        (
            (["digits:1"], ["digits:2"]),
            {"match": {"model": "digits", "version": "3"}},
            [("EW250", ("routes", 0, "endpoints"))],
        ),
        (
            (["digits:1"], ["digits"]),
            {"versions": {"1": 50, "2": 50}},
            [("EW251", ("routes", 0, "endpoints", 0))],
        ),
        ((["digits:1"], ["digits"]), {"versions": {"1": 100, "2": 0}, "version_override": ["acme"]}, []),
        ((["cats"], ["dogs"]), {"match": {"model": "dig*"}}, []),
    ],
)
def test_routes_whose_model_is_not_there(
    lists: tuple[list[str], list[str]], changes: dict[str, Any], expected: list[tuple[str, Path]]
) -> None:
    """A fail-over target without the model is none; a pattern may mean another model."""
    assert found(*lists, **changes) == expected


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [(("a", "b"), []), (("a",), [("EW252", ("endpoints", "a", "capacity_rps"))]), (("b",), [])],
)
def test_a_capacity_that_nobody_takes_over(
    endpoints: tuple[str, ...], expected: list[tuple[str, Path]]
) -> None:
    """What is beyond it has nowhere to go."""
    assert found([], [], capacity=10, endpoints=endpoints) == expected


def test_warnings_are_warnings_and_name_the_model() -> None:
    """The policy comes into force all the same."""
    made = policy(
        endpoints={"a": endpoint("us-east", models=["cats:2"])},
        routes=[route(endpoints=["a"], match={"model": "cats", "version": "1"})],
    )
    (warning,) = [problem for problem in problems(made) if problem.rule == "EW250"]

    assert warning.severity is Severity.WARNING
    assert "'cats' in version 1" in warning.message


def test_it_ends() -> None:
    """Nobody reads a thousand errors."""
    assert len(found([f"m{number}:" for number in range(MAX_ERRORS + 50)], ["digits"])) == MAX_ERRORS + 1
