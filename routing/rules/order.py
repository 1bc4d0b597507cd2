"""In which order endpoints are tried. Residency decides which; health and distance only sort them."""

from __future__ import annotations

from typing import Protocol

from routing.policy import EDGE, Policy, Route


class View(Protocol):
    """What a gateway believes about the endpoints at this moment."""

    def is_available(self, endpoint: str) -> bool:
        """Whether a request sent there now would be let through; true when a probe is due."""
        ...


def reachable(
    policy: Policy, route: Route, own_region: str, regions: frozenset[str], *, edges: bool
) -> tuple[str, ...]:
    """Return the route's endpoints inside ``regions``, nearest first.

    Nearest is the own region, then its failover list in order, then the rest; endpoints that are
    equally far keep the order of the route. The own region's gateway is never among them, and no
    other gateway is unless ``edges``: a request that came from one gateway must not visit a third.
    """
    distances = {own_region: -1}
    for distance, region in enumerate(policy.failover.get(own_region, ())):
        distances.setdefault(region, distance)
    far = len(distances)

    def may_visit(name: str) -> bool:
        endpoint = policy.endpoints.get(name)
        if endpoint is None or endpoint.region not in regions:
            return False
        return endpoint.tier != EDGE or (edges and endpoint.region != own_region)

    names = dict.fromkeys(filter(may_visit, route.endpoints))
    return tuple(sorted(names, key=lambda name: distances.get(policy.endpoints[name].region, far)))


def plan(reachable: tuple[str, ...], view: View) -> tuple[str, ...]:
    """Return the available endpoints, in order; attempt n goes to the n-th, counted round.

    The others are left out, because their breakers would refuse at once. One whose breaker waits for a
    probe is available, and the request that is sent there is the probe. When none is available nothing
    is planned: Envoy's panic rule, which then asks the ejected hosts all the same, would meet breakers
    that let nobody through.

    A plan holds for one attempt: an endpoint that the first attempt put out of service is not the
    second's choice.
    """
    return tuple(filter(view.is_available, reachable))
