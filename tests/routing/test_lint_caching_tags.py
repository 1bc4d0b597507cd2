"""Tags of routes, linted."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from routing.problem import Path
from tests.routing.policies import policy, route

DIGEST = "sha256:" + "a" * 64


def found(cache: dict[str, Any]) -> list[tuple[str, Path]]:
    made = policy(routes=[route(digest=DIGEST, cache=cache)])
    return [(each.rule, each.path) for each in problems(made) if each.rule in {"EW182", "EW282"}]


@pytest.mark.parametrize(
    ("cache", "expected"),
    [
        ({"tags": ["a", "b"]}, []),
        ({"tags": ["a", "b", "a"]}, [("EW182", ("routes", 0, "cache", "tags", 2))]),
        ({"tags": ["a"], "enabled": False}, [("EW282", ("routes", 0, "cache", "tags"))]),
        ({"enabled": False}, []),
    ],
)
def test_tags_that_mean_nothing_are_found(cache: dict[str, Any], expected: list[tuple[str, Path]]) -> None:
    """One that stands there twice, and one of answers that nobody keeps."""
    assert found(cache) == expected
