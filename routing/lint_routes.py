"""The lint rules about routes; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from routing.matching import Index, Takers
from routing.patterns import is_name
from routing.policy import ANY, EDGE, Policy, Route, Tenant
from routing.problem import Problem, unknown
from routing.rules.residency import regions_of

_LONGEST_PATTERN: Final = 256
_NAMED: Final = 8
"""A message names the routes that take this many tenants, and hints at the rest."""


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
        model = route.match.model
        if not model or "**" in model or len(model) > _LONGEST_PATTERN:
            yield Problem(
                "EW109",
                ("routes", index, "match", "model"),
                "a model is matched by its name, or by a pattern of up to 256 characters in which '*' stands "
                "for any, and '?' for one",
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
    """A route is dead when, for each of its tenants, an earlier route takes all of its models.

    One with conditions takes all only from those with the same and further ones: ``routing.lint_matching``.
    """
    index = Index()
    for position, route in enumerate(policy.routes):
        tenants = tenants_of(policy, route)
        earlier = index.covering(route.match.model)
        if tenants and take_all(earlier, tenants):
            some = tuple(islice(tenants, _NAMED))
            firsts = (index.first(route.match.model, tenant) for tenant in some)
            names = [f"'{policy.routes[first].name}'" for first in firsts if first is not None]
            listed = ", ".join(dict.fromkeys(names)) + (", …" if len(tenants) > len(some) else "")
            yield Problem("EW113", ("routes", position), f"no request gets here: taken by {listed} before")
        if not route.match.is_conditional:
            index.add(position, route.match)


def take_all(earlier: list[Takers], tenants: Mapping[str, Any]) -> bool:
    """Whether the takers of one model take all tenants."""
    if any(takers.everybody is not None for takers in earlier):
        return True
    return bool(earlier) and not tenants.keys() - set().union(*(takers.tenants for takers in earlier))


def _cascades(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if route.cascade is not None and not is_name(route.match.model):
            yield Problem(
                "EW115",
                ("routes", index, "cascade"),
                f"an edge model and its certificate are of one model, and '{route.match.model}' stands for "
                "many: name the model in full in match.model, one route for each, or take the cascade out",
            )


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
    everybodys = {tenant.residency for tenant in policy.tenants.values()}
    allowed = {residency: regions_of(policy, residency) for residency in policy.residency}
    for index, route in enumerate(policy.routes):
        regions = _central_regions(policy, route)
        if not regions:
            continue
        tenants = tenants_of(policy, route)
        whole = tenants is policy.tenants
        classes = everybodys if whole else {tenant.residency for tenant in tenants.values()}
        for residency in sorted(classes & policy.residency.keys()):
            if not regions & allowed[residency]:
                outcome = "only the edge model may answer" if route.cascade else "every request is refused"
                yield Problem(
                    "EW202",
                    ("routes", index, "endpoints"),
                    f"class '{residency}' allows no central endpoint of this route: {outcome}",
                )


def _unused(policy: Policy) -> Iterator[Problem]:
    used = {name for route in policy.routes for name in route.endpoints}
    used |= {name for route in policy.routes if route.shadow for name in route.shadow.endpoints}
    for name in policy.endpoints:
        if name not in used:
            yield Problem("EW205", ("endpoints", name), "no route uses this endpoint")


def _cacheless(policy: Policy) -> Iterator[Problem]:
    for index, route in enumerate(policy.routes):
        if route.cache.enabled and not route.digests:
            yield Problem(
                "EW208",
                ("routes", index, "cache"),
                "no answer of this route is cached: set its digest, or disable the cache",
            )


def tenants_of(policy: Policy, route: Route) -> Mapping[str, Tenant]:
    """Return the tenants of the policy that the route takes."""
    if ANY in route.match.tenants:
        return policy.tenants
    names = route.match.tenants
    return {name: policy.tenants[name] for name in names if name in policy.tenants}


def _central_regions(policy: Policy, route: Route) -> frozenset[str]:
    endpoints = (policy.endpoints.get(name) for name in route.endpoints)
    return frozenset(endpoint.region for endpoint in endpoints if endpoint and endpoint.tier != EDGE)


ROUTE_CHECKS: Final = (
    _references,
    _patterns,
    _route_names,
    _unreachable,
    _cascades,
    _mute,
    _unserved,
    _unused,
    _cacheless,
)
