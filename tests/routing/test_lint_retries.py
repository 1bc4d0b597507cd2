"""What is wrong with the attempts of a route."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from tests.routing.policies import endpoint, policy, route, values


def found(*routes: dict[str, Any], **limits: int) -> list[tuple[str, str]]:
    endpoints = values()["endpoints"]
    for name, limit_ms in limits.items():
        endpoints[name] = endpoint(endpoints[name]["region"], attempt_timeout_ms=limit_ms)
    return [
        (problem.rule, ".".join(map(str, problem.path)))
        for problem in problems(policy(routes=list(routes), endpoints=endpoints))
        if problem.rule.startswith(("EW108", "EW16", "EW26"))
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"per_try_timeout_ms": 500}, []),
        ({"timeout_ms": 500}, []),
        ({"per_try_timeout_ms": 500, "timeout_ms": 1500, "retry_on": ["reset"]}, []),
        (
            {"per_try_timeout_ms": 500, "timeout_ms": 499},
            [("EW165", "routes.0.per_try_timeout_ms")],
        ),
        (
            {"per_try_timeout_ms": 500, "timeout_ms": 499, "num_retries": 0},
            [("EW165", "routes.0.per_try_timeout_ms")],
        ),
        (
            {"per_try_timeout_ms": 500, "timeout_ms": 500},
            [("EW265", "routes.0.per_try_timeout_ms")],
        ),
        ({"per_try_timeout_ms": 500, "timeout_ms": 500, "num_retries": 0}, []),
        ({"retry_on": ["5xx"], "num_retries": 0}, [("EW267", "routes.0.retry_on")]),
        ({"retry_on": ["5xx"], "num_retries": 1}, []),
        ({"num_retries": 0}, []),
        ({"retry_on": ["reset", "5xx", "reset"]}, [("EW108", "routes.0.retry_on.2")]),
    ],
)
def test_times_and_conditions(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert found(route(**changes)) == expected


@pytest.mark.parametrize(
    ("limits", "is_told"),
    [
        ({"central": 499, "central-eu": 400}, True),
        ({"central": 499, "central-eu": 500}, False),
        ({"central": 499}, False),
        ({}, False),
    ],
)
def test_a_time_that_all_endpoints_undercut_has_no_effect(limits: dict[str, int], is_told: bool) -> None:
    both = route(per_try_timeout_ms=500, endpoints=["central", "central-eu"])
    told = [("EW266", "routes.0.per_try_timeout_ms")] if is_told else []

    assert found(both, **limits) == told


def test_endpoints_that_do_not_exist_say_nothing_of_it() -> None:
    assert found(route(per_try_timeout_ms=500, endpoints=["centrla"])) == []
