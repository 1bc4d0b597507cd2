"""The lint rules about routes; ``routing.lint`` lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from routing.matching import Index, Takers
from routing.patterns import MOST_OTHERS, is_name, others_of
from routing.policy import ANY, EDGE, Policy, Route, Tenant
from routing.problem import Problem, unknown

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
    if has_many_patterns(policy):
        return
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
    # Mostly they are too few, and need not be compared one by one.
    if sum(len(takers.tenants) for takers in earlier) < len(tenants):
        return False
    return all(any(name in takers.tenants for takers in earlier) for name in tenants)


def has_many_patterns(policy: Policy) -> bool:
    """Whether patterns are so many that they are refused for it (EW144), and are not compared either."""
    return len(others_of(route.match.model for route in policy.routes)) > MOST_OTHERS


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
    everybodys = _Unserved(policy, {tenant.residency for tenant in policy.tenants.values()})
    for index, route in enumerate(policy.routes):
        regions = _central_regions(policy, route)
        if not regions:
            continue
        tenants = tenants_of(policy, route)
        if tenants is policy.tenants:
            unserved = everybodys.by(regions)
        else:
            classes = {tenant.residency for tenant in tenants.values()}
            unserved = _Unserved(policy, classes, everybodys.allowing).by(regions)
        if unserved:
            outcome = "only the edge model may answer" if route.cascade else "every request is refused"
            more = f" (nor do {len(unserved) - 1} more)" if len(unserved) > 1 else ""
            yield Problem(
                "EW202",
                ("routes", index, "endpoints"),
                f"class '{unserved[0]}'{more} allows no central endpoint of this route: {outcome}",
            )


class _Unserved:
    """Which of some classes allow none of some regions; thousands of routes may have the same regions."""

    def __init__(
        self, policy: Policy, classes: set[str], allowing: Mapping[str, set[str]] | None = None
    ) -> None:
        self._classes = classes & policy.residency.keys()
        self.allowing = _classes_by_region(policy) if allowing is None else allowing
        self._found: dict[frozenset[str], list[str]] = {}

    def __repr__(self) -> str:
        return f"<_Unserved of {len(self._classes)} classes>"

    def by(self, regions: frozenset[str]) -> list[str]:
        """Return the classes that allow none of ``regions``."""
        if regions not in self._found:
            served = set().union(*(self.allowing.get(region, ()) for region in regions))
            self._found[regions] = sorted(self._classes - served)
        return self._found[regions]


def _classes_by_region(policy: Policy) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    everywhere = {name for name, entry in policy.residency.items() if ANY in entry.regions}
    for name, entry in policy.residency.items():
        for region in () if name in everywhere else entry.regions:
            found.setdefault(region, set()).add(name)
    return {region: found.get(region, set()) | everywhere for region in _used_regions(policy)}


def _used_regions(policy: Policy) -> frozenset[str]:
    """Return the regions that central endpoints of routes are in."""
    return frozenset().union(*(_central_regions(policy, route) for route in policy.routes))


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
