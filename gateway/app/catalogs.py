"""The models of an edge gateway: its own, and those of the central endpoints of their routes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from gateway.app.completed_models import CompletedModels
from gateway.app.queries import Asker, Queries
from gateway.app.questions import KnownPolicy, Questions, central
from gateway.core.catalog import Catalog, Catalogs, IndexEntry, ModelSpec, VisibleModels, unknown_model
from gateway.core.errors import Fault, GatewayError
from gateway.core.features import NOT_ENRICHED, Enriched
from gateway.core.request import Caller
from gateway.wire.oip.validation import check_address
from routing.policy import ANY, Policy, Route

_AT_ONCE: Final = 8
"""Endpoints of which one caller's question about all models is asked at a time."""

T = TypeVar("T")


class EdgeCatalogs:
    """The models of an edge gateway, for each tenant of its policy."""

    def __init__(
        self, in_force: KnownPolicy, own: Catalog | None, queries: Queries, enriched: Enriched = NOT_ENRICHED
    ) -> None:
        self._in_force, self._own, self._queries = in_force, own, queries
        self._enriched = enriched
        self._policy: Policy | None = None
        self._reachable: dict[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"<EdgeCatalogs, {self._queries!r}>"

    def of(self, caller: Caller, *, to_infer: bool = False) -> VisibleModels:
        """Return the models of an identified caller's tenant."""
        questions = Questions(self._in_force, self._queries, Asker.of(caller, to_infer=to_infer))
        models = TenantModels(self._in_force, self._own, questions, caller.tenant, self._central_of)
        return CompletedModels(models, self._enriched) if self._enriched else models

    def _central_of(self, tenant: str) -> tuple[str, ...]:
        """Return the central endpoints of all routes that take ``tenant``; a policy may have many routes."""
        policy = self._in_force.policy()
        if policy is not self._policy:
            self._policy, self._reachable = policy, {}
        if tenant not in self._reachable:
            taken = [route for route in policy.routes if {ANY, tenant}.intersection(route.match.tenants)]
            found = dict.fromkeys(name for route in taken for name in central(policy, route))
            self._reachable[tenant] = tuple(found)
        return self._reachable[tenant]


class TenantModels:
    """The models that one tenant may use.

    A model exists for it when a route of the policy in force takes it from this tenant, whoever holds its
    artefact: the same route as its requests would take. Where that route has an edge model, this process's
    own one is described; its configuration is that of the central endpoint, which answers what the edge
    model does not. All else is asked of the central endpoints of that route, and of nobody for a model
    without one. Other gateways are never queried: they would query their own endpoints, this gateway among
    them. What no endpoint tells is what this process knows of its own models.
    """

    def __init__(
        self,
        in_force: KnownPolicy,
        own: Catalog | None,
        questions: Questions,
        tenant: str,
        central_of: Callable[[str], Sequence[str]],
    ) -> None:
        self._in_force, self._own, self._questions = in_force, own, questions
        self.tenant, self._central_of = tenant, central_of

    def __repr__(self) -> str:
        return f"<TenantModels of {self.tenant}>"

    def may_use(self, model: str) -> bool:
        """Whether a route takes the model from this tenant."""
        return self._in_force.matching().find(model, self.tenant) is not None

    def is_alone(self, model: str) -> bool:
        """Whether no route takes the model from another tenant."""
        return self._in_force.matching().is_alone(model, self.tenant)

    def runs_here(self, model: str) -> bool:
        """Whether the model's route has an edge model."""
        route = self._in_force.matching().find(model, self.tenant)
        return self._own is not None and route is not None and route.cascade is not None

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata from the nearest tier that knows the model."""
        check_address(model, version, "")
        route = self._route(model)

        def ask(endpoint: str) -> Awaitable[ModelSpec]:
            return self._questions.describe(endpoint, model, version)

        if self._own is not None and route.cascade:
            try:
                return await self._own.describe(model, version)
            except GatewayError as error:
                if error.fault is not Fault.NOT_FOUND:
                    raise
                return await self._in_turn(route, error, ask)
        try:
            return await self._in_turn(route, unknown_model(model), ask)
        except GatewayError:
            if (spec := await self._own_spec(model, version)) is None:
                raise
            return spec

    async def config(self, model: str, version: str) -> bytes | None:
        """Return the configuration of the first central endpoint that knows the model."""
        check_address(model, version, "")

        def ask(endpoint: str) -> Awaitable[bytes]:
            return self._questions.config(endpoint, model, version)

        try:
            return await self._in_turn(self._route(model), unknown_model(model), ask)
        except GatewayError:
            if await self._own_spec(model, version) is None:
                raise
            return None

    async def index(self) -> Sequence[IndexEntry]:
        """Return what the central endpoints of all routes tell of models whose requests they get.

        Raises:
            GatewayError: OVERLOADED when this caller has asked too much.
        """
        names = self._central_of(self.tenant)
        found: list[IndexEntry] = []
        for begin in range(0, len(names), _AT_ONCE):
            group = names[begin : begin + _AT_ONCE]
            told = await asyncio.gather(*map(self._index_of, group))
            for name, entries in zip(group, told, strict=True):
                found += [entry for entry in entries if self._goes_to(entry.name, name)]
        return found

    async def is_ready(self, model: str, version: str) -> bool:
        """Whether the own model or an endpoint would answer; an endpoint that cannot be queried might."""
        check_address(model, version, "")
        route = self._route(model)
        if self._own is not None and route.cascade:
            try:
                return await self._own.is_ready(model, version)
            except GatewayError as error:
                if error.fault is not Fault.NOT_FOUND:
                    raise
        if not any(map(self._in_force.endpoints().is_available, route.endpoints)):
            return False
        if len(central(self._in_force.policy(), route)) == len(route.endpoints):
            try:
                await self.describe(model, version)
            except GatewayError as error:
                if error.fault is Fault.NOT_FOUND:
                    raise
        return True

    async def _own_spec(self, model: str, version: str) -> ModelSpec | None:
        try:
            return await self._own.describe(model, version) if self._own is not None else None
        except GatewayError:
            return None

    def _route(self, model: str) -> Route:
        route = self._in_force.matching().find(model, self.tenant)
        if route is None:
            raise unknown_model(model)
        return route

    def _goes_to(self, model: str, endpoint: str) -> bool:
        route = self._in_force.matching().find(model, self.tenant)
        return route is not None and endpoint in route.endpoints

    async def _index_of(self, endpoint: str) -> Sequence[IndexEntry]:
        try:
            return await self._questions.index(endpoint)
        except GatewayError as error:
            if error.fault is Fault.OVERLOADED and error.why is None:
                # This gateway did not ask it: an index without its models would say that it has none.
                raise
            # It has no list, or cannot be asked: what the others tell is true nevertheless.
            return ()

    async def _in_turn(self, route: Route, failure: GatewayError, ask: Callable[[str], Awaitable[T]]) -> T:
        endpoints = central(self._in_force.policy(), route)
        # Those whose breaker is open come last: they would keep the query, and its place, for long.
        for name in sorted(endpoints, key=self._in_force.endpoints().is_available, reverse=True):
            try:
                return await ask(name)
            except GatewayError as error:
                failure = error
        raise failure


_: tuple[type[Catalogs], type[VisibleModels]] = (EdgeCatalogs, TenantModels)
