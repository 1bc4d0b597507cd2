"""The types of the policy."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routing.policy import Match, Policy, RouteCache, RouteCascade
from tests.routing.policies import endpoint, policy, route, values


def test_defaults_are_those_of_the_field() -> None:
    """A route that says nothing waits 15 s, retries once, caches as the gateway does, has no edge model."""
    bare = policy(routes=[{"name": "x", "endpoints": ["central"]}]).routes[0]

    assert bare.match == Match(model="*", tenants=("*",))
    assert (bare.timeout_ms, bare.num_retries, bare.digest) == (None, None, "")
    assert bare.cache == RouteCache(enabled=True, ttl_s=None)
    assert bare.cascade is None


def test_cascade_serves_from_the_edge_by_default() -> None:
    """An empty cascade means: the edge model answers when the central tier is down."""
    assert policy().routes[0].cascade == RouteCascade(on_central_down="serve_edge")


def test_a_route_names_no_central_artefact_or_one_or_several() -> None:
    """In the order of the file."""
    one, other = "sha256:" + "0" * 64, "sha256:" + "1" * 64

    def digests(**changes: Any) -> tuple[str, ...]:
        return policy(routes=[route(**changes)]).routes[0].digests

    assert digests(digest="") == ()
    assert digests(digest=one) == (one,)
    assert digests(digest=[other, one]) == (other, one)


def test_policy_cannot_be_changed() -> None:
    """A policy in force is a value."""
    with pytest.raises(AttributeError):
        policy().generation = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generation": 0}, r">= 1 - at `\$\.generation"),
        ({"regions": {}}, r"length >= 1 - at `\$\.regions"),
        ({"sandwich": 1}, "unknown field `sandwich`"),
        ({"endpoints": {"x": endpoint("eu-west", tier="fog")}}, "enum value 'fog'"),
        ({"endpoints": {"x": endpoint("eu-west", max_concurrency=0)}}, "max_concurrency"),
        ({"endpoints": {"x": endpoint("eu-west", attempt_timeout_ms=0)}}, "attempt_timeout_ms"),
        ({"endpoints": {"x": endpoint("eu-west", atempt_timeout_ms=1)}}, "unknown field"),
        ({"residency": {"none": {"regions": []}}}, r"length >= 1"),
        ({"tenants": {"t": {"residency": "x", "keys_sha256": ["ABC"]}}}, "regex"),
        ({"routes": [route(digest="sha256:xyz")]}, "regex"),
        ({"routes": [route(digest="sha256:" + "0" * 64 + "\n")]}, "regex"),
        ({"routes": [route(digest=[])]}, r"length >= 1"),
        ({"routes": [route(digest=[""])]}, "regex"),
        ({"routes": [route(digest=["sha256:" + "0" * 64, "xyz"])]}, "regex"),
        ({"routes": [route(digest=3)]}, r"\$\.routes\[0\]\.digest"),
        ({"routes": [route(num_retries=6)]}, "num_retries"),
        ({"routes": [route(timeout_ms=-1)]}, "timeout_ms"),
        ({"routes": [route(per_try_timeout_ms=0)]}, "per_try_timeout_ms"),
        ({"routes": [route(retry_on=[])]}, "retry_on"),
        ({"routes": [route(retry_on=["gateway-error"])]}, "retry_on"),
        ({"routes": [route(retry_on="5xx")]}, "retry_on"),
        ({"routes": [route(retry_on=["5xx"] * 9)]}, "retry_on"),
        ({"endpoints": {"x": endpoint("eu-west", tls={"alpn": ["h2"] * 17})}}, "alpn"),
        ({"defaults": {"routes": []}}, "defaults"),
        ({"routes": [route(cache={"ttl_s": 0})]}, "ttl_s"),
        ({"routes": [route(cascade={"on_central_down": "shrug"})]}, "enum value 'shrug'"),
        ({"routes": [route(match={"tenants": []})]}, r"length >= 1"),
    ],
)
def test_what_is_out_of_range_is_refused(changes: dict[str, Any], message: str) -> None:
    """A value out of its range, or a field nobody knows, is refused with its path."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(values() | changes, Policy)
