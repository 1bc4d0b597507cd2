"""What an edge gateway knows of models: its own, and those behind the endpoints of their routes."""

from __future__ import annotations

from collections.abc import Callable

from gateway.core.catalog import Catalog, ModelSpec, unknown_model
from gateway.core.errors import Fault, GatewayError
from routing.matching import covers
from routing.policy import Policy, Route


class EdgeCatalog:
    """Answers from the models of this process, else asks the endpoints of the model's routes in turn.

    A model exists here when a route of the policy in force takes it, whoever holds its artefact.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        own: Catalog | None,
        *,
        ask: Callable[[str], Catalog],
        is_available: Callable[[str], bool],
    ) -> None:
        self._policy, self._own, self._ask, self._is_available = policy, own, ask, is_available

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata from the nearest who knows it."""
        routes = self._routes(model)
        failure = unknown_model(model)
        if self._own is not None:
            try:
                return await self._own.describe(model, version)
            except GatewayError as error:
                failure = error
        for name in dict.fromkeys(name for route in routes for name in route.endpoints):
            try:
                return await self._ask(name).describe(model, version)
            except GatewayError as error:
                failure = error
        raise failure

    async def is_ready(self, model: str, version: str) -> bool:
        """Whether the own model or at least one endpoint would answer."""
        routes = self._routes(model)
        if self._own is not None and any(route.cascade for route in routes):
            try:
                return await self._own.is_ready(model, version)
            except GatewayError as error:
                if error.fault is not Fault.NOT_FOUND:
                    raise
        names = dict.fromkeys(name for route in routes for name in route.endpoints)
        return any(self._is_available(name) for name in names)

    def _routes(self, model: str) -> list[Route]:
        routes = [route for route in self._policy().routes if covers(route.match.model, model)]
        if not routes:
            raise unknown_model(model)
        return routes


_: type[Catalog] = EdgeCatalog
