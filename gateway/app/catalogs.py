"""The metadata of an edge gateway's models: its own, and those of the central endpoints of their routes."""

from __future__ import annotations

from typing import Protocol

from gateway.app.queries import Asker, Queries
from gateway.core.catalog import Catalog, Catalogs, ModelSpec, VisibleModels, unknown_model
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.wire.oip.validation import check_address
from routing.matching import Routes
from routing.policy import EDGE, Policy, Route


class KnownEndpoints(Protocol):
    """The endpoints in force (``gateway.app.endpoint_set.EndpointSet``)."""

    def catalog(self, name: str) -> Catalog | None:
        """Return what the endpoint knows of models; None when it is not in force."""
        ...

    def is_available(self, endpoint: str) -> bool:
        """Whether the endpoint's breaker lets requests through now."""
        ...


class KnownPolicy(Protocol):
    """The policy in force and what was made of it (``gateway.app.generation.InForce``)."""

    def policy(self) -> Policy:
        """Return the policy."""
        ...

    def matching(self) -> Routes:
        """Return which routes take whom."""
        ...

    def endpoints(self) -> KnownEndpoints:
        """Return the endpoints."""
        ...


class EdgeCatalogs:
    """The models of an edge gateway, for each tenant of its policy."""

    def __init__(self, in_force: KnownPolicy, own: Catalog | None, queries: Queries) -> None:
        self._in_force, self._own, self._queries = in_force, own, queries

    def __repr__(self) -> str:
        return f"<EdgeCatalogs, {self._queries!r}>"

    def of(self, caller: Caller, *, to_infer: bool = False) -> TenantModels:
        """Return the models of an identified caller's tenant."""
        return TenantModels(self._in_force, self._own, self._queries, Asker.of(caller, to_infer=to_infer))


class TenantModels:
    """The models that one tenant may use.

    A model exists for it when a route of the policy in force takes it from this tenant, whoever holds its
    artefact: the same route as its requests would take. What is not known here is asked of the central
    endpoints of that route, and of nobody for a model without one. Other gateways are never queried: they
    would query their own endpoints, this gateway among them.
    """

    def __init__(self, in_force: KnownPolicy, own: Catalog | None, queries: Queries, asker: Asker) -> None:
        self._in_force, self._own, self._queries, self._asker = in_force, own, queries, asker

    def __repr__(self) -> str:
        return f"<TenantModels of {self._asker.tenant}>"

    def may_use(self, model: str) -> bool:
        """Whether a route takes the model from this tenant."""
        return self._in_force.matching().find(model, self._asker.tenant) is not None

    def is_alone(self, model: str) -> bool:
        """Whether no route takes the model from another tenant."""
        return self._in_force.matching().is_alone(model, self._asker.tenant)

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Return the metadata from the nearest tier that knows the model."""
        check_address(model, version, "")
        route, unknown = self._route(model), unknown_model(model)
        if self._own is not None:
            try:
                return await self._own.describe(model, version)
            except GatewayError as error:
                if error.fault is not Fault.NOT_FOUND:
                    raise
                unknown = error
        policy = self._in_force.policy()
        endpoints = _central(policy, route)
        if not endpoints:
            raise unknown
        return await self._queries.ask(
            (policy.generation, route.name, model, version),
            self._asker,
            lambda: self._query_in_turn(endpoints, model, version, unknown),
        )

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
        if len(_central(self._in_force.policy(), route)) == len(route.endpoints):
            try:
                await self.describe(model, version)
            except GatewayError as error:
                if error.fault is Fault.NOT_FOUND:
                    raise
        return True

    def _route(self, model: str) -> Route:
        route = self._in_force.matching().find(model, self._asker.tenant)
        if route is None:
            raise unknown_model(model)
        return route

    async def _query_in_turn(
        self, endpoints: list[str], model: str, version: str, failure: GatewayError
    ) -> ModelSpec:
        in_force = self._in_force
        # Those whose breaker is open come last: they would keep the query, and its place, for long.
        for name in sorted(endpoints, key=in_force.endpoints().is_available, reverse=True):
            # A policy that came into force since may have dropped the endpoint.
            if (catalog := in_force.endpoints().catalog(name)) is None:
                continue
            try:
                return await catalog.describe(model, version)
            except GatewayError as error:
                failure = error
        raise failure


def _central(policy: Policy, route: Route) -> list[str]:
    return [name for name in dict.fromkeys(route.endpoints) if policy.endpoints[name].tier != EDGE]


_: tuple[type[Catalogs], type[VisibleModels]] = (EdgeCatalogs, TenantModels)
