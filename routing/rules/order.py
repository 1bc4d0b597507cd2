"""In which order endpoints are tried. Residency decides which; health and distance only sort them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from routing.policy import ANY, EDGE, Policy, Route
from routing.rules.locality import levels, weights_of

_MAX_REGION_SETS: Final = 256


class View(Protocol):
    """What a gateway believes about the endpoints at this moment."""

    def is_available(self, endpoint: str) -> bool:
        """Whether a request sent there now would be let through."""
        ...

    def is_preferred(self, endpoint: str, model: str) -> bool:
        """Whether it is available, and nothing is known against ``model`` there."""
        ...

    def has_untried(self, endpoint: str, tried: Collection[str], model: str = "", version: str = "") -> bool:
        """Whether one of its members that would let a request through is not among ``tried``.

        Where its members hold different models it is one that may hold ``model``.
        """
        ...

    def can_continue(self, endpoint: str) -> bool:
        """Whether it takes further steps of what began there: also while it gets no new work."""
        ...

    def strength(self, endpoint: str) -> tuple[int, int]:
        """Return how many of its members are well, and how many there are."""
        ...

    def round_trip(self, endpoint: str) -> tuple[float, float] | None:
        """Return the peak-EWMA of its latency, and when it was measured last; None: never."""
        ...

    def why(self, endpoint: str) -> str:
        """Return why it is out, fit for a client; empty when it is not, or when that is not known."""
        ...

    def lacking(self, model: str, version: str) -> frozenset[str]:
        """Return the endpoints of which no member that could answer may hold ``model``, as far as is known.

        ``version`` empty: in any version.
        """
        ...

    def holds(self, endpoint: str, model: str, version: str) -> bool:
        """Whether one of its members is known to hold ``model``, were it out or not."""
        ...

    def is_full(self, endpoint: str) -> bool:
        """Whether it gets from this process as much as its capacity allows."""
        ...


def reachable(
    policy: Policy, route: Route, own_region: str, regions: frozenset[str], *, edges: bool
) -> tuple[str, ...]:
    """Return the route's endpoints inside ``regions``, nearest first.

    Nearest is the own region, then its failover list in order, then the rest, or as the policy's locality has
    it; endpoints that are equally far keep the order of the route. Where it distributes the requests of the
    own region, only regions with a weight have any. The own region's gateway is never among them, and no
    other gateway is unless ``edges``: a request that came from one gateway must not visit a third.
    """
    weights = weights_of(policy, own_region)

    def may_visit(name: str) -> bool:
        endpoint = policy.endpoints.get(name)
        if endpoint is None or endpoint.region not in regions:
            return False
        if weights is not None and endpoint.region not in weights:
            return False
        return endpoint.tier != EDGE or (edges and endpoint.region != own_region)

    names = tuple(dict.fromkeys(filter(may_visit, route.endpoints)))
    far = levels(policy, own_region, names)
    return tuple(sorted(names, key=lambda name: far[name]))


Rivals = Mapping[str, tuple[frozenset[str], ...]]
"""Endpoint → what ``rivals`` finds for it."""


def rivals(policy: Policy, own_region: str) -> Rivals:
    """Return for each endpoint that a request can reach the others that could take it, once per residency.

    An endpoint beside which all others of one such set are out is the last one for some requests. The sets of
    regions are those of the classes and what two or more of them have in common: places narrow tenants.
    """
    found: dict[str, set[frozenset[str]]] = {}
    # Thousands of routes may go to the same few endpoints.
    routes = {route.endpoints: route for route in policy.routes}.values()
    for regions in _region_sets(policy):
        for route in routes:
            for edges in (True, False):
                names = frozenset(reachable(policy, route, own_region, regions, edges=edges))
                for name in names:
                    found.setdefault(name, set()).add(names - {name})
    return {name: tuple(sets) for name, sets in found.items()}


def turn(
    names: tuple[str, ...],
    view: View,
    attempt: int,
    tried: Collection[str],
    *,
    model: str = "",
    version: str = "",
) -> str:
    """Return the endpoint of ``names``, a plan, for an attempt.

    It is the first that has a member at which the request has not failed; so the other members of one
    endpoint come before the next endpoint. Where it has failed at all of them, and where nobody says at which
    it has, attempt n goes to the n-th, counted round.
    """
    if tried:
        for name in names:
            if view.has_untried(name, tried, model, version):
                return name
    return names[attempt % len(names)]


def holding(names: tuple[str, ...], lacking: frozenset[str]) -> tuple[str, ...]:
    """Return ``names`` without those that lack the model; all where each of them does.

    Then the one that is asked says that there is no such model, as clients expect.
    """
    if not lacking:
        return names
    return tuple([name for name in names if name not in lacking]) or names


def _region_sets(policy: Policy) -> set[frozenset[str]]:
    everywhere = frozenset(policy.regions)
    classes = {
        everywhere if ANY in each.regions else frozenset(each.regions) & everywhere
        for each in policy.residency.values()
    }
    found = set(classes)
    for each in classes:
        found |= {each & other for other in found}
        if len(found) > _MAX_REGION_SETS:
            # A request of one region has the fewest endpoints of all.
            return {frozenset({region}) for region in everywhere} | classes
    return found


def plan(reachable: tuple[str, ...], view: View, model: str) -> tuple[str, ...]:
    """Return the endpoints for requests of ``model``, in order; ``turn`` has the one for an attempt.

    Those at which the model fails are left out while there are others: when there are none, what fails for
    one may work for the next request (Envoy's panic rule, inside the residency). Those that would refuse at
    once are left out whatever else there is: active checks notice their return, and no request has to.

    A plan holds for one attempt: an endpoint that the first attempt put out of service is not the
    second's choice.
    """
    preferred = tuple([name for name in reachable if view.is_preferred(name, model)])
    return preferred or tuple(filter(view.is_available, reachable))


def first(reachable: tuple[str, ...], view: View, model: str) -> str | None:
    """Return the first of ``plan``, None where that is empty; nobody looks at those behind it."""
    for name in reachable:
        if view.is_preferred(name, model):
            return name
    return next(filter(view.is_available, reachable), None)
