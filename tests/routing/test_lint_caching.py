"""The lint rules about what routes cache."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from tests.routing.policies import endpoint, policy, route

OURS = {"EW105", "EW142", "EW177", "EW178", "EW179", "EW276", "EW277", "EW278", "EW279"}


def found(cache: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
    one = route(cache=cache, endpoints=["central"], **changes)
    made = policy(routes=[one], endpoints={"central": endpoint("us-east")})
    return [(each.rule, ".".join(map(str, each.path[3:]))) for each in problems(made) if each.rule in OURS]


@pytest.mark.parametrize(
    ("cache", "rules"),
    [
        ({"bypass": [{}]}, [("EW177", "bypass.0")]),
        ({"bypass": [{"tenants": ["nobody"]}]}, [("EW105", "bypass.0.tenants.0")]),
        ({"bypass": [{"headers": {"cookie": "1"}}]}, [("EW142", "bypass.0.headers.cookie")]),
        ({"bypass": [{"headers": {"x-a": {}}}]}, [("EW178", "bypass.0.headers.x-a")]),
        ({"bypass": [{"headers": {"x-a": {"regex": "("}}}]}, [("EW178", "bypass.0.headers.x-a.regex")]),
        ({"bypass": [{"headers": {"x-a": {"regex": "a+"}}}, {"tenants": ["*"]}]}, []),
        ({"levels": ["l2", "l2"]}, [("EW179", "levels")]),
        ({"levels": ["l2", "l1"]}, []),
        ({"ttl_by_provenance": {"edge_s": 5}}, [("EW276", "ttl_by_provenance.edge_s")]),
        ({"enabled": False, "ttl_s": 5}, [("EW277", "ttl_s")]),
        ({"enabled": False}, []),
        ({"levels": ["l2"], "negative_ttl_s": 1}, [("EW278", "negative_ttl_s")]),
        ({"levels": ["l1"], "negative_ttl_s": 1}, []),
        ({"ttl_s": 5, "ttl_by_provenance": {"central_s": 5}}, [("EW279", "ttl_s")]),
    ],
)
def test_what_values_mean_to_each_other(cache: dict[str, Any], rules: list[tuple[str, str]]) -> None:
    assert found(cache) == rules


def test_a_route_with_a_cascade() -> None:
    cascade = {"cascade": {"on_central_down": "serve_edge"}}
    times = {"central_s": 5, "edge_s": 5, "edge_uncertified_s": 1}

    assert found({"ttl_by_provenance": times}, **cascade) == []
    assert found({"ttl_s": 5, "ttl_by_provenance": {"central_s": 5}}, **cascade) == []
    assert found({"levels": ["l2"], "ttl_by_provenance": times}, **cascade) == [
        ("EW278", "ttl_by_provenance.edge_uncertified_s")
    ]
