"""The lint rules about hedging."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from routing.problem import Path
from tests.routing.policies import endpoint, policy, route

OURS = {"EW175", "EW176", "EW275"}


def found(one: dict[str, Any], **endpoints: dict[str, Any]) -> list[tuple[str, Path, str]]:
    known = endpoints or {"central": endpoint("us-east"), "other": endpoint("us-east")}
    made = policy(routes=[one], endpoints=known)
    return [(each.rule, each.path, each.message) for each in problems(made) if each.rule in OURS]


def hedged(hedge: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return route(hedge=hedge, **{"endpoints": ["central", "other"], **changes})


@pytest.mark.parametrize(
    ("hedge", "field"),
    [
        ({"delay_ms": 500}, "delay_ms"),
        ({"delay_ms": 500.5}, "delay_ms"),
        ({"min_delay_ms": 500}, "min_delay_ms"),
    ],
)
def test_a_delay_as_long_as_the_request(hedge: dict[str, Any], field: str) -> None:
    (problem,) = found(hedged(hedge, timeout_ms=500))

    assert problem[:2] == ("EW175", ("routes", 0, "hedge", field))
    assert "its timeout_ms is 500" in problem[2]


def test_a_delay_as_long_as_every_attempt() -> None:
    """One endpoint of which it is not known, or whose attempts may last longer, is enough."""
    short, long = endpoint("us-east", attempt_timeout_ms=100), endpoint("us-east", attempt_timeout_ms=300)
    one = hedged({"delay_ms": 200})

    (problem,) = found(one, central=short, other=short)
    assert problem[:2] == ("EW176", ("routes", 0, "hedge", "delay_ms"))
    assert "it gets 100 ms at most" in problem[2]
    assert found(one, central=short, other=long) == []
    assert found(one, central=short, other=endpoint("us-east")) == []
    (problem,) = found(one | {"per_try_timeout_ms": 200}, central=long, other=endpoint("us-east"))
    assert "it gets 200 ms at most" in problem[2]


@pytest.mark.parametrize(
    ("addresses", "is_told"),
    [
        ([], True),
        (["10.0.0.1:80"], True),
        (["[::1]:80"], True),
        ([{"address": "10.0.0.1:80"}], True),
        (["central.internal:80"], False),
        (["10.0.0.1:80", "10.0.0.2:80"], False),
    ],
)
def test_nowhere_to_hedge_to(addresses: list[Any], is_told: bool) -> None:
    """The older form is one member; a name among addresses may lead to several."""
    alone = endpoint("us-east", **({"address": "", "addresses": addresses} if addresses else {}))

    rules = [each[0] for each in found(hedged({}, endpoints=["central"]), central=alone)]

    assert rules == (["EW275"] if is_told else [])


@pytest.mark.parametrize(
    "one",
    [
        hedged({}),
        hedged({"delay_ms": 499}, timeout_ms=500),
        hedged({"delay_ms": 1e6}),
        route(endpoints=["central"]),
        hedged({}, endpoints=["central", "no such"]),
        hedged({}, endpoints=[], cascade={}),
    ],
)
def test_what_is_right_is_not_told(one: dict[str, Any]) -> None:
    assert [each for each in found(one) if each[0] != "EW275"] == []
