"""What all rules together make of one request: the steps of a gateway, without a gateway.

In a gateway each step is a layer, which remembers what it has found: ``Residency`` calls ``allowed``,
``RouteDispatch`` finds the route, ``Router`` calls ``reachable``. Here they are taken one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from msgspec.structs import replace

from gateway.core.request import Caller, Request
from routing.holdings import Holdings
from routing.matching import Routes
from routing.place import Place
from routing.policy import Policy, Route
from routing.rules.order import holding, reachable
from routing.rules.residency import Allowed, allowed

_PLAIN: Final = Request("", ())


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happens to a request, all endpoints being well.

    ``is_here``: whether the gateway may use its own caches and models for it; else it only passes it on.
    ``endpoints``: in the order in which they are tried. ``refusal``: why the request is refused; empty: it is
    not. ``passed``: the routes of its model and tenant before its own, with what it lacks for them.
    ``lacking``: endpoints whose list of models does not have its own.
    """

    allowed: Allowed
    route: Route | None
    is_here: bool = False
    endpoints: tuple[str, ...] = ()
    refusal: Literal["", "no_route", "no_region", "no_endpoint"] = ""
    passed: tuple[tuple[Route, str], ...] = ()
    lacking: frozenset[str] = frozenset()


def outcome(
    policy: Policy, *, model: str, tenant: str, place: Place | None, region: str, like: Request = _PLAIN
) -> Outcome:
    """Return what the gateway of ``region`` does with a request that comes from no other gateway.

    ``like`` has all else that routes may ask for: address, version and headers. Its data is not known.
    """
    may_see = allowed(policy, tenant, place)
    request = replace(like, model=model, caller=Caller(like.caller.address, tenant))
    route, before = Routes(policy, lambda _: place).explain(request)
    passed = tuple(before)
    if route is None:
        return Outcome(may_see, None, refusal="no_route", passed=passed)
    if not may_see.regions:
        return Outcome(may_see, route, refusal="no_region", passed=passed)
    is_here = region in may_see.regions
    names = reachable(policy, route, region, may_see.regions, edges=True)
    is_served = bool(names) or (is_here and route.cascade is not None)
    lacking = _lacking(policy, names, model, request.version)
    refusal: Literal["", "no_endpoint"] = "" if is_served else "no_endpoint"
    return Outcome(may_see, route, is_here, holding(names, lacking), refusal, passed, lacking)


def _lacking(policy: Policy, names: tuple[str, ...], model: str, version: str) -> frozenset[str]:
    lists = {name: policy.endpoints[name].models for name in names}
    return frozenset(
        name for name, listed in lists.items() if listed and not Holdings.listed(listed).has(model, version)
    )
