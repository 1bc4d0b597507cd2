"""What routes and endpoints inherit from the policy's defaults."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing import defaults
from routing.defaults import WITH_DEFAULTS, InheritedFields, inherit, inheritable
from routing.endpoint import Endpoint
from routing.policy import Policy, Route, RouteCache
from tests.routing.policies import endpoint, route, values


def resolved(**changes: Any) -> tuple[Policy, InheritedFields]:
    """The sound policy with ``changes``, as a file's values are decoded."""
    written = values() | changes
    decoded = msgspec.convert(written, WITH_DEFAULTS)
    policy = msgspec.convert(defaults.without_nulls(written), Policy)
    return inherit(policy, written, decoded)


def routes_of(defaults_: dict[str, Any], *routes: dict[str, Any]) -> tuple[Route, ...]:
    return resolved(defaults={"routes": defaults_}, routes=list(routes))[0].routes


def test_what_a_route_is_is_not_inherited() -> None:
    """A field that comes later is inherited, unless it is added here and there."""
    assert set(Route.__struct_fields__) - set(inheritable("routes")) == {
        "name",
        "match",
        "versions",
        "version_override",
        "digest",
        "endpoints",
    }
    assert {"cache", "cascade", "shadow"} < set(inheritable("routes"))


def test_how_an_endpoint_is_reached_and_watched_is_inherited() -> None:
    """What it is, and where, is its own: a new field of that kind is added to those that are not."""
    assert set(inheritable("endpoints")) == {
        "credential",
        "tls",
        "load_balancing",
        "health_check",
        "outlier_detection",
        "max_concurrency",
        "attempt_timeout_ms",
    }
    assert set(inheritable("endpoints")) < set(Endpoint.__struct_fields__)


def test_a_route_has_what_it_does_not_name_from_the_defaults() -> None:
    bare, full = routes_of(
        {"timeout_ms": 900, "num_retries": 2, "sticky_by": "tenant", "cache": {"ttl_s": 7}},
        route("bare"),
        route("full", "other", timeout_ms=100, cache={"enabled": False}),
    )

    assert (bare.timeout_ms, bare.num_retries, bare.sticky_by, bare.cache) == (
        900,
        2,
        "tenant",
        RouteCache(ttl_s=7),
    )
    # Its block is its own as a whole: nothing of the two is merged.
    assert (full.timeout_ms, full.num_retries, full.cache) == (100, 2, RouteCache(enabled=False))


@pytest.mark.parametrize(
    ("field", "given", "switched_off"),
    [
        ("timeout_ms", 900, None),
        ("retry_on", ["reset"], None),
        ("cascade", {}, None),
        ("cache", {"enabled": False}, RouteCache()),
        ("sticky_by", "tenant", "input"),
    ],
)
def test_null_is_the_field_as_if_there_were_no_defaults(field: str, given: Any, switched_off: Any) -> None:
    """Also for those of which null is no value otherwise."""
    (off,) = routes_of({field: given}, route(**{field: None}))
    (without,) = routes_of({}, route(**{field: None}))
    (nothing,) = routes_of({field: None}, route())

    assert getattr(off, field) == getattr(without, field) == getattr(nothing, field) == switched_off
    assert getattr(routes_of({field: given}, route())[0], field) != switched_off


def test_null_is_no_value_of_what_cannot_be_inherited() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"got `null`.*name"):
        routes_of({"timeout_ms": 1}, route(name=None))


def test_endpoints_inherit_as_well() -> None:
    policy, inheritance = resolved(
        defaults={"endpoints": {"max_concurrency": 9, "tls": {"ca": "ca.pem"}, "health_check": {}}},
        endpoints={
            "one": endpoint("eu-west"),
            "two": endpoint("eu-west", tls={"server_name": "two"}, health_check=None),
        },
    )

    one, two = policy.endpoints.values()
    assert (one.max_concurrency, one.tls.ca, one.health_check.interval_s) == (9, "ca.pem", 10)
    assert (two.max_concurrency, two.tls.ca, two.tls.server_name, two.health_check) == (9, None, "two", None)
    assert inheritance.of("endpoints", "one") == {"max_concurrency", "tls", "health_check"}
    assert inheritance.of("endpoints", "two") == {"max_concurrency"}
    assert inheritance.of("routes", 0) == ()


def test_it_is_known_where_an_inherited_value_stands() -> None:
    _, inheritance = resolved(
        defaults={"routes": {"cache": {"ttl_s": 5}, "timeout_ms": 5}},
        routes=[route("a"), route("b", "b", timeout_ms=9)],
    )

    assert inheritance.source(("routes", 1, "cache", "ttl_s")) == ("defaults", "routes", "cache", "ttl_s")
    assert inheritance.source(("routes", 0, "timeout_ms")) == ("defaults", "routes", "timeout_ms")
    for own in (("routes", 1, "timeout_ms"), ("routes", 0), ("routes", 0, "name"), ("generation",), ()):
        assert inheritance.source(own) is None


def test_a_thousand_routes_share_what_they_inherit() -> None:
    """A large default costs what it costs once."""
    routes = routes_of({"cache": {"ttl_s": 5}}, *(route(f"r{each}", f"m{each}") for each in range(1000)))

    assert len({id(each.cache) for each in routes}) == 1


def test_without_defaults_nothing_changes() -> None:
    written = values()
    policy = msgspec.convert(written, Policy)

    for given_ in ({}, {"defaults": {}}, {"defaults": {"routes": {}, "endpoints": {"tls": None}}}):
        found, inheritance = inherit(policy, written, msgspec.convert(given_, WITH_DEFAULTS))
        assert found is policy
        assert inheritance == InheritedFields()


def test_a_default_that_nobody_inherits_is_found() -> None:
    policy, inheritance = resolved(
        defaults={"routes": {"timeout_ms": 1, "num_retries": 1, "cache": None}, "endpoints": {"tls": {}}},
        routes=[route(timeout_ms=4), route("b", "b", timeout_ms=None)],
    )

    assert [(each.rule, each.path) for each in defaults.unused(policy, inheritance)] == [
        ("EW268", ("defaults", "routes", "timeout_ms"))
    ]


@pytest.mark.parametrize(
    ("given_", "path"),
    [
        ({"routes": {"timeout_ms": 1, "match": {}}}, ("defaults", "routes", "match")),
        ({"endpoints": {"region": "x"}}, ("defaults", "endpoints", "region")),
        ({"routes": {"region": "x", "cache": {"name": 1}}}, None),
        ({}, None),
    ],
)
def test_what_each_has_to_say_itself_is_found_among_the_defaults(given_: dict[str, Any], path: Any) -> None:
    assert defaults.misplaced({"defaults": given_}) == path


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        5,
        [],
        "defaults",
        {"defaults": 5},
        {"defaults": []},
        {"defaults": {"routes": [1]}},
        {"routes": None, "endpoints": []},
        {"routes": {"a": None}, "endpoints": {"a": None}},
        {"routes": [None, 5, [None]], "endpoints": {"a": [None]}},
    ],
)
def test_what_is_no_policy_passes_unchanged(garbage: Any) -> None:
    """Decoding says what is wrong with it."""
    assert defaults.misplaced(garbage) is None
    assert defaults.without_nulls(garbage) == garbage


FIELDS = {
    "timeout_ms": st.sampled_from([None, 1, 2]),
    "per_try_timeout_ms": st.sampled_from([None, 1, 2]),
    "num_retries": st.sampled_from([None, 0, 3]),
    "retry_on": st.sampled_from([None, ["reset"], ["5xx", "unavailable"]]),
    "cache": st.sampled_from([None, {}, {"ttl_s": 9}, {"enabled": False}]),
    "cascade": st.sampled_from([None, {}, {"on_central_down": "fail"}]),
    "sticky_by": st.sampled_from([None, "tenant", "header:x-a"]),
}
SOME = st.fixed_dictionaries({}, optional=FIELDS)


@given(given_=SOME, written=st.lists(SOME, min_size=1, max_size=4))
def test_a_policy_with_defaults_is_the_policy_written_out(
    given_: dict[str, Any], written: list[dict[str, Any]]
) -> None:
    """As if somebody had copied each field into the routes that lack it."""
    short = [route(f"r{each}", f"m{each}", **fields) for each, fields in enumerate(written)]
    whole = [given_ | each for each in short]

    policy, inheritance = resolved(defaults={"routes": given_}, routes=short)

    assert policy.routes == resolved(routes=whole)[0].routes
    for index, fields in enumerate(written):
        named = {name for name, value in given_.items() if value is not None}
        assert set(inheritance.of("routes", index)) == named - set(fields)
