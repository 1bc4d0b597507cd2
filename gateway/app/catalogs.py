"""What an edge gateway knows of models: its own, and those behind the central endpoints of their routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.core.catalog import Catalog, ModelSpec, unknown_model
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.validation import check_address
from routing.matching import covers
from routing.policy import EDGE, Policy, Route

MAX_QUESTIONS: Final = 16
"""Questions under way to endpoints at once. Anybody may ask about models, so asking must stay cheap."""

KEPT_S: Final = 5.0
_REMEMBERED: Final = 256


class EdgeCatalog:
    """Answers from the models of this process, else asks the central endpoints of the model's routes in turn.

    A model exists here when a route of the policy in force takes it, whoever holds its artefact. Other
    gateways are never asked: they would ask their own endpoints, this gateway among them. What an endpoint
    tells is kept for ``KEPT_S`` seconds.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        own: Catalog | None,
        *,
        ask: Callable[[str], Catalog | None],
        is_available: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self._policy, self._own, self._ask, self._is_available = policy, own, ask, is_available
        self._clock = clock
        self._kept: dict[tuple[int, str, str], tuple[float, ModelSpec]] = {}
        self._asking = 0

    def __repr__(self) -> str:
        return f"<EdgeCatalog {self._asking} questions under way, {len(self._kept)} answers kept>"

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata from the nearest who knows it."""
        check_address(model, version, "")
        policy = self._policy()
        routes, unknown = _routes(policy, model), unknown_model(model)
        if self._own is not None:
            try:
                return await self._own.describe(model, version)
            except GatewayError as error:
                if error.fault is not Fault.NOT_FOUND:
                    raise
                unknown = error
        key = (policy.generation, model, version)
        kept = self._kept.get(key)
        if kept is not None and self._clock.now() < kept[0]:
            return kept[1]
        endpoints = _central(policy, routes)
        spec = await self._ask_in_turn(endpoints, model, version, unknown)
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[key] = (self._clock.now() + KEPT_S, spec)
        return spec

    async def is_ready(self, model: str, version: str) -> bool:
        """Whether the own model or at least one endpoint would answer; one that cannot be asked might."""
        check_address(model, version, "")
        policy = self._policy()
        routes = _routes(policy, model)
        if self._own is not None and any(route.cascade for route in routes):
            try:
                return await self._own.is_ready(model, version)
            except GatewayError as error:
                if error.fault is not Fault.NOT_FOUND:
                    raise
        names = dict.fromkeys(name for route in routes for name in route.endpoints)
        if not any(self._is_available(name) for name in names):
            return False
        if len(_central(policy, routes)) == len(names):
            try:
                await self.describe(model, version)
            except GatewayError as error:
                if error.fault is Fault.NOT_FOUND:
                    raise
        return True

    async def _ask_in_turn(
        self, endpoints: list[str], model: str, version: str, failure: GatewayError
    ) -> ModelSpec:
        if self._asking >= MAX_QUESTIONS:
            raise GatewayError(Fault.OVERLOADED, "too many questions about models are under way; ask again")
        self._asking += 1
        try:
            # Those whose breaker is open would keep the question, and its place, for as long as they can.
            for name in sorted(endpoints, key=self._is_available, reverse=True):
                # A policy that came into force since may have dropped the endpoint.
                if (catalog := self._ask(name)) is None:
                    continue
                try:
                    return await catalog.describe(model, version)
                except GatewayError as error:
                    failure = error
        finally:
            self._asking -= 1
        raise failure


def _central(policy: Policy, routes: list[Route]) -> list[str]:
    names = dict.fromkeys(name for route in routes for name in route.endpoints)
    return [name for name in names if policy.endpoints[name].tier != EDGE]


def _routes(policy: Policy, model: str) -> list[Route]:
    routes = [route for route in policy.routes if covers(route.match.model, model)]
    if not routes:
        raise unknown_model(model)
    return routes


_: type[Catalog] = EdgeCatalog
