"""The router: attempt n of a request goes to the n-th endpoint of its plan, so fail-over is a retry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Service
from routing.policy import Policy, Route
from routing.rules.order import View, plan, reachable

_REMEMBERED: Final = 256


class Router:
    """Sends the requests of one route to its endpoints.

    It reads ``request.regions`` afresh at every attempt and sends nothing outside of them, whatever
    the health of the endpoints. ``endpoints`` maps names of the policy to their services; a name that
    it lacks is an error of the composition.

    Raises:
        KeyError: when ``endpoints`` lacks one that the route can use.
    """

    def __init__(
        self, policy: Policy, route: Route, own_region: str, *, endpoints: Mapping[str, Service], view: View
    ) -> None:
        self._policy = policy
        self._route = route
        self._own_region = own_region
        self._view = view
        # The sets of regions are those of the policy's classes, so they are few.
        self._reachable = lru_cache(_REMEMBERED)(self._find)
        usable = self._find(frozenset(policy.regions), edges=True)
        self._endpoints = {name: endpoints[name] for name in usable}

    def __repr__(self) -> str:
        endpoints = ", ".join(
            name if self._view.is_available(name) else f"{name} (out)" for name in self._endpoints
        )
        return f"<Router {self._route.name} in {self._own_region}: {endpoints or 'no endpoints'}>"

    async def __call__(self, request: Request) -> Response:
        """Send one attempt.

        Raises:
            GatewayError: UNAVAILABLE, and not to be tried again, when no endpoint lies in an allowed
                region or none that does is available; INTERNAL when the regions are not fixed; else
                whatever the endpoint raises.
        """
        names = self._plan(request)
        endpoint = names[request.attempt % len(names)]
        try:
            return await self._endpoints[endpoint](request)
        except GatewayError as error:
            if names[(request.attempt + 1) % len(names)] == endpoint:
                raise
            raise error.replaced(elsewhere=True) from error

    def _plan(self, request: Request) -> tuple[str, ...]:
        if request.regions is None:
            raise GatewayError(Fault.INTERNAL, "the request reached the router without a residency")
        reached = self._reachable(request.regions, edges=request.hops == 0)
        names = plan(reached, self._view, request.model)
        if not reached:
            raise GatewayError(
                Fault.UNAVAILABLE, f"no endpoint of route '{self._route.name}' lies in an allowed region"
            )
        if not names:
            # Their breakers would refuse too, but as something to try elsewhere, and there is no elsewhere.
            raise GatewayError(
                Fault.UNAVAILABLE,
                f"no endpoint of route '{self._route.name}' that may be asked is available"
                f"{self._why(reached)}",
            )
        return names

    def _why(self, names: tuple[str, ...]) -> str:
        known = [f"'{name}': {why}" for name in names if (why := self._view.why(name))]
        return f" ({'; '.join(known)})" if known else ""

    def _find(self, regions: frozenset[str], *, edges: bool) -> tuple[str, ...]:
        return reachable(self._policy, self._route, self._own_region, regions, edges=edges)


_: Callable[..., Service] = Router
