"""The lint rules about what processes do for each other's caches."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from tests.routing.policies import endpoint, policy, route

OURS = {"EW184", "EW284", "EW285"}
CASCADE = {"on_central_down": "serve_edge"}


def found(cache: dict[str, Any], tier: str = "central", **changes: Any) -> list[str]:
    made = policy(
        routes=[route(cache=cache, **changes)],
        endpoints={"central": {**endpoint("us-east"), "tier": tier}},
    )
    return [each.rule for each in problems(made) if each.rule in OURS]


@pytest.mark.parametrize(
    ("cache", "changes", "rules"),
    [
        ({"verify_after": 10}, {"cascade": CASCADE}, []),
        ({"verify_after": 10, "lease": False}, {"cascade": CASCADE}, []),
        ({"verify_after": 10}, {"cascade": CASCADE, "tier": "edge"}, ["EW184"]),
        ({"verify_after": 10}, {}, ["EW284"]),
        ({"verify_after": 10, "enabled": False}, {"cascade": CASCADE}, ["EW284"]),
        ({"lease": False, "enabled": False}, {}, ["EW285"]),
        ({"enabled": False}, {}, []),
    ],
)
def test_what_has_no_effect_is_told(cache: dict[str, Any], changes: dict[str, Any], rules: list[str]) -> None:
    """A number that looks as if answers were verified, and nobody does."""
    assert found(cache, **changes) == rules
