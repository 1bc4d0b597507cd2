"""The router: each attempt goes where those before it have not failed, so fail-over is a retry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, SEQUENCE_END, SEQUENCE_START, Request, Response
from gateway.core.service import Service
from routing.placements import Placements
from routing.policy import Policy, Route
from routing.preference import Order
from routing.rules.locality import levels
from routing.rules.order import View, first, holding, plan, reachable, turn
from routing.rules.sticky import place, sequence_key, sticky_order

_REMEMBERED: Final = 256
_LACKS: Final = "it does not hold the model"


class Router:
    """Sends the requests of one route to its endpoints.

    It reads ``request.regions`` afresh at every attempt and sends nothing outside of them, whatever
    the health of the endpoints. ``endpoints`` maps names of the policy to their services; a name that
    it lacks is an error of the composition.

    The steps of one sequence go to one endpoint, which has its state: ``routing.rules.sticky`` chooses it
    where the sequence begins, and ``placements`` remember it. ``order`` prefers some of what may be reached;
    None: as the policy lists it.

    Raises:
        KeyError: when ``endpoints`` lacks one that the route can use.
    """

    def __init__(
        self,
        policy: Policy,
        route: Route,
        own_region: str,
        *,
        endpoints: Mapping[str, Service],
        view: View,
        placements: Placements | None = None,
        order: Order | None = None,
    ) -> None:
        self._policy = policy
        self._route = route
        self._own_region = own_region
        self._view = view
        self._placements = Placements() if placements is None else placements
        # The sets of regions are those of the policy's classes, so they are few.
        self._reachable = lru_cache(_REMEMBERED)(self._find)
        usable = self._find(frozenset(policy.regions), edges=True)
        self._endpoints = {name: endpoints[name] for name in usable}
        self._distances = levels(policy, own_region, usable)
        self._order = order

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
        if request.parameters and SEQUENCE in request.parameters:
            return await self._step(request)
        reached = self._reached(request)
        held = self._holding(reached, request)
        ordered = held if self._order is None else self._order.order(held)
        endpoint = self._next(ordered, request, request.attempt, request.tried)
        if endpoint is None:
            raise self._none_available(reached, request)
        try:
            return await self._endpoints[endpoint](request)
        except GatewayError as error:
            if error.fault is Fault.NOT_FOUND and error.retryable:
                raise self._absent(error, reached, request) from error
            if not self._goes_elsewhere(ordered, endpoint, request, error.member):
                raise
            raise error.replaced(elsewhere=True) from error

    def has_other(self, request: Request) -> bool:
        """Whether it could be sent to a member that is not among its ``tried``, inside its regions."""
        if request.regions is None:
            return False
        view, model, version = self._view, request.model, request.version
        reached = self._holding(self._reachable(request.regions, edges=request.hops == 0), request)
        names = plan(reached, view, model)
        return any(view.has_untried(name, request.tried, model, version) for name in names)

    def _next(
        self, ordered: tuple[str, ...], request: Request, attempt: int, tried: tuple[str, ...]
    ) -> str | None:
        """Return the endpoint for an attempt; None: there is none."""
        if not attempt and not tried:
            return first(ordered, self._view, request.model)
        view, model, version = self._view, request.model, request.version
        names = plan(ordered, view, model)
        return turn(names, view, attempt, tried, model=model, version=version) if names else None

    def _goes_elsewhere(self, ordered: tuple[str, ...], endpoint: str, request: Request, member: str) -> bool:
        """Whether the next attempt would go elsewhere than to ``member`` of ``endpoint``."""
        tried = (*request.tried, member) if member else request.tried
        following = self._next(ordered, request, request.attempt + 1, tried)
        if following is None:
            return False
        if following != endpoint:
            return True
        return bool(member) and self._view.has_untried(endpoint, tried, request.model, request.version)

    def _holding(self, reached: tuple[str, ...], request: Request) -> tuple[str, ...]:
        """Return those that may hold the model.

        Where these are out, and nobody knows that they hold it, the others may say that there is no such
        model.
        """
        view, model, version = self._view, request.model, request.version
        lacking = view.lacking(model, version)
        if not lacking:
            return reached
        found = holding(reached, lacking)
        if any(map(view.is_available, found)) or any(view.holds(name, model, version) for name in found):
            return found
        return reached

    def _absent(self, error: GatewayError, reached: tuple[str, ...], request: Request) -> GatewayError:
        """Return the error of an endpoint that does not hold what its index says it does."""
        lacking = self._view.lacking(request.model, request.version)
        others = (name for name in reached if name not in lacking)
        is_elsewhere = any(map(self._view.is_available, others))
        return error.replaced(elsewhere=is_elsewhere, retryable=is_elsewhere)

    async def _step(self, request: Request) -> Response:
        """Send a step of a sequence to where its state is."""
        reached, key = self._reached(request), sequence_key(request)
        held = None if request.parameters.get(SEQUENCE_START) else self._placements.get(key)
        # What began somewhere is there, whatever is known of models.
        may_take = self._holding(reached, request) if held is None else reached
        order = sticky_order(may_take, self._distances, key)
        endpoint = place(order, self._view, request.model, held)
        if endpoint is None:
            raise self._lost(held) if held is not None else self._none_available(reached, request)
        if request.parameters.get(SEQUENCE_END):
            self._placements.forget(key)
        else:
            self._placements.put(key, endpoint)
        return await self._endpoints[endpoint](request)

    def _reached(self, request: Request) -> tuple[str, ...]:
        if request.regions is None:
            raise GatewayError(Fault.INTERNAL, "the request reached the router without a residency")
        reached = self._reachable(request.regions, edges=request.hops == 0)
        if not reached:
            raise GatewayError(
                Fault.UNAVAILABLE, f"no endpoint of route '{self._route.name}' lies in an allowed region"
            )
        return reached

    def _none_available(self, reached: tuple[str, ...], request: Request) -> GatewayError:
        # Their breakers would refuse too, but as something to try elsewhere, and there is no elsewhere.
        lacking = self._view.lacking(request.model, request.version)
        return GatewayError(
            Fault.UNAVAILABLE,
            f"no endpoint of route '{self._route.name}' that may be asked is available"
            f"{self._why(reached, lacking)}",
        )

    def _lost(self, endpoint: str) -> GatewayError:
        return GatewayError(
            Fault.UNAVAILABLE,
            f"the endpoint that has the state of this sequence is not available{self._why((endpoint,))}: "
            "begin the sequence anew, with sequence_start",
        )

    def _why(self, names: tuple[str, ...], lacking: frozenset[str] = frozenset()) -> str:
        whys = {name: self._view.why(name) or (_LACKS if name in lacking else "") for name in names}
        known = [f"'{name}': {why}" for name, why in whys.items() if why]
        return f" ({'; '.join(known)})" if known else ""

    def _find(self, regions: frozenset[str], *, edges: bool) -> tuple[str, ...]:
        return reachable(self._policy, self._route, self._own_region, regions, edges=edges)


_: Callable[..., Service] = Router
