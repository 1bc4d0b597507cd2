"""The metadata of an edge gateway's models: its own, and those of the central endpoints of their routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from gateway.core.catalog import Catalog, ModelSpec, unknown_model
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.wire.oip.validation import check_address
from routing.matching import covers
from routing.policy import EDGE, Policy, Route

MAX_QUERIES: Final = 16
"""Queries to endpoints under way at once. Any client may ask for metadata, so it must stay cheap."""

KEPT_S: Final = 5.0
_REMEMBERED: Final = 256


class KnownEndpoints(Protocol):
    """The endpoints in force (``gateway.app.endpoint_set.EndpointSet``)."""

    def catalog(self, name: str) -> Catalog | None:
        """Return what the endpoint knows of models; None when it is not in force."""
        ...

    def is_available(self, endpoint: str) -> bool:
        """Whether the endpoint's breaker lets requests through now."""
        ...


class EdgeCatalog:
    """Answers from the models of this process, else queries the central endpoints of the model's routes.

    A model exists here when a route of the policy in force takes it, whoever holds its artefact. Other
    gateways are never queried: they would query their own endpoints, this gateway among them. An endpoint's
    answer is kept for ``KEPT_S`` seconds. ``policy``, ``endpoints``: return what is in force.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        own: Catalog | None,
        *,
        endpoints: Callable[[], KnownEndpoints],
        clock: Clock,
    ) -> None:
        self._policy, self._own, self._endpoints, self._clock = policy, own, endpoints, clock
        self._kept: dict[tuple[int, str, str], tuple[float, ModelSpec]] = {}
        self._querying = 0

    def __repr__(self) -> str:
        return f"<EdgeCatalog {self._querying} queries under way, {len(self._kept)} answers kept>"

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata from the nearest tier that knows the model."""
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
        spec = await self._query_in_turn(endpoints, model, version, unknown)
        if len(self._kept) >= _REMEMBERED:
            self._kept.clear()
        self._kept[key] = (self._clock.now() + KEPT_S, spec)
        return spec

    async def is_ready(self, model: str, version: str) -> bool:
        """Whether the own model or an endpoint would answer; an endpoint that cannot be queried might."""
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
        if not any(map(self._endpoints().is_available, names)):
            return False
        if len(_central(policy, routes)) == len(names):
            try:
                await self.describe(model, version)
            except GatewayError as error:
                if error.fault is Fault.NOT_FOUND:
                    raise
        return True

    async def _query_in_turn(
        self, endpoints: list[str], model: str, version: str, failure: GatewayError
    ) -> ModelSpec:
        if self._querying >= MAX_QUERIES:
            raise GatewayError(Fault.OVERLOADED, "too many questions about models are under way; ask again")
        self._querying += 1
        try:
            # Those whose breaker is open come last: they would keep the query, and its place, for long.
            for name in sorted(endpoints, key=self._endpoints().is_available, reverse=True):
                # A policy that came into force since may have dropped the endpoint.
                if (catalog := self._endpoints().catalog(name)) is None:
                    continue
                try:
                    return await catalog.describe(model, version)
                except GatewayError as error:
                    failure = error
        finally:
            self._querying -= 1
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
