"""The lint rules about routes; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from routing.matching import covers, takes
from routing.policy import ANY, EDGE, Policy, Route
from routing.problem import Problem, unknown
from routing.rules.residency import regions_of


def _references(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        for position, name in enumerate(route.endpoints):
            if name not in policy.endpoints:
                yield Problem(
                    "EW103",
                    ("routes", index, "endpoints", position),
                    unknown("endpoint", name, policy.endpoints),
                )
        for position, name in enumerate(route.match.tenants):
            if name != ANY and name not in policy.tenants:
                yield Problem(
                    "EW105",
                    ("routes", index, "match", "tenants", position),
                    unknown("tenant", name, policy.tenants),
                )


def _patterns(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if not route.match.model or ANY in route.match.model[:-1]:
            yield Problem(
                "EW109",
                ("routes", index, "match", "model"),
                "a model is matched by its name, or by a prefix with one '*' behind it",
            )


def _route_names(policy: Policy) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, route in enumerate(policy.routes):
        if first.setdefault(route.name, index) != index:
            yield Problem(
                "EW112",
                ("routes", index, "name"),
                f"'{route.name}' is the name of routes[{first[route.name]}] already",
            )


def _unreachable(policy: Policy) -> Iterator[Problem]:
    """A route is dead when, for each of its tenants, an earlier route takes all of its models."""
    for index, route in enumerate(policy.routes):
        earlier = [other for other in policy.routes[:index] if covers(other.match.model, route.match.model)]
        tenants = [name for name in policy.tenants if takes(route.match, name)]
        shadows = [next((other for other in earlier if takes(other.match, name)), None) for name in tenants]
        if tenants and None not in shadows:
            names = ", ".join(dict.fromkeys(f"'{other.name}'" for other in shadows if other))
            yield Problem("EW113", ("routes", index), f"no request gets here: taken by {names} before")


def _mute(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        known = policy.endpoints.keys() >= set(route.endpoints)
        if known and route.cascade is None and not _central_regions(policy, route):
            yield Problem(
                "EW114",
                ("routes", index),
                "nothing can compute an answer: name a central endpoint, or give the route a cascade",
            )


def _unserved(policy: Policy) -> Iterator[Problem]:
    """Say which tenants' classes leave a route without its central endpoints."""
    for index, route in enumerate(policy.routes):
        regions = _central_regions(policy, route)
        if not regions:
            continue
        classes = {tenant.residency for name, tenant in policy.tenants.items() if takes(route.match, name)}
        for residency in sorted(classes & policy.residency.keys()):
            if not regions & regions_of(policy, residency):
                outcome = "only the edge model may answer" if route.cascade else "every request is refused"
                yield Problem(
                    "EW202",
                    ("routes", index, "endpoints"),
                    f"class '{residency}' allows no central endpoint of this route: {outcome}",
                )


def _unused(policy: Policy) -> Iterator[Problem]:
    used = {name for route in policy.routes for name in route.endpoints}
    for name in policy.endpoints:
        if name not in used:
            yield Problem("EW205", ("endpoints", name), "no route uses this endpoint")


def _cacheless(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if route.cache.enabled and not route.digest and _central_regions(policy, route):
            yield Problem(
                "EW208",
                ("routes", index, "cache"),
                "central answers are not cached: set the route's digest, or disable the cache",
            )


def _central_regions(policy: Policy, route: Route) -> frozenset[str]:
    endpoints = (policy.endpoints.get(name) for name in route.endpoints)
    return frozenset(endpoint.region for endpoint in endpoints if endpoint and endpoint.tier != EDGE)


ROUTE_CHECKS: Final = (
    _references,
    _patterns,
    _route_names,
    _unreachable,
    _mute,
    _unserved,
    _unused,
    _cacheless,
)
