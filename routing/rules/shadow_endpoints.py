"""Which endpoints may see the copy of a request. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from routing.policy import Policy, Route
from routing.rules.order import reachable
from routing.shadow import Shadow


def shadow_endpoints(
    policy: Policy, route: Route, shadow: Shadow, own_region: str, regions: frozenset[str]
) -> tuple[str, ...]:
    """Return those of the shadow that lie in ``regions``, in the order in which a route would try them.

    There are none where the own region is not among ``regions``: its gateway may pass the request on, but
    keep nothing of it. No other gateway is among them, whatever the policy says: it would keep the answer,
    and count the request as its tenant's.
    """
    if own_region not in regions:
        return ()
    route = replace(route, endpoints=shadow.endpoints or route.endpoints)
    return reachable(policy, route, own_region, regions, edges=False)
