"""Makes generations of the parts that outlive them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from gateway.app.certificates import Certificates
from gateway.app.dispatch import RouteDispatch
from gateway.app.edge_tier import NO_TIERS, EdgeTiers
from gateway.app.endpoint_set import EndpointSet
from gateway.app.endpoints import Endpoints
from gateway.app.generation import Generation
from gateway.app.loading import Loaded
from gateway.app.parts import CacheParts, Parts, longest_s
from gateway.app.stacks import route_stack, shared_stack
from gateway.core.stack import Stack
from routing.policy import Policy, Route
from routing.residency import Locate


class EdgeModels(Protocol):
    """The models of a process, as a builder needs them; ``gateway.app.models.Models`` is one."""

    def tiers(self, routes: Iterable[Route], found: Certificates, *, forget: bool = False) -> EdgeTiers:
        """Return the edge tiers of ``routes`` under the certificates ``found``."""
        ...

    def replaced(self, old: EdgeTiers, new: EdgeTiers) -> None:
        """Take note that ``new`` is in force."""
        ...


class Builder:
    """Builds the generation of what was loaded, and closes what a swap leaves behind.

    ``build`` changes nothing that is in force; ``replaced`` is called after the swap, and cannot fail.
    """

    def __init__(
        self,
        parts: Parts,
        endpoints: Endpoints,
        models: EdgeModels | None,
        locate: Locate,
        cache: CacheParts | None,
    ) -> None:
        self._parts, self._endpoints, self._models = parts, endpoints, models
        self._locate, self._cache = locate, cache

    def __repr__(self) -> str:
        return f"<Builder for {self._parts.region}>"

    def build(self, loaded: Loaded) -> Generation:
        """Return the generation of ``loaded``.

        Whatever it raises, what was opened for the new generation is closed.
        """
        policy, parts = loaded.policy, self._parts
        assert parts.region in policy.regions, "parse_policy has checked it"
        tiers = NO_TIERS
        if self._models is not None:
            tiers = self._models.tiers(policy.routes, loaded.certificates, forget=loaded.forget)
        endpoints = self._endpoints.prepare(policy)
        try:
            routes = self._routes(policy, endpoints, tiers)
            stack = shared_stack(parts, policy, RouteDispatch(policy, routes))
        except BaseException:
            self._endpoints.discard(endpoints)
            raise
        return Generation(
            policy.generation,
            stack,
            routes,
            policy=policy,
            text=loaded.text,
            endpoints=endpoints,
            tiers=tiers,
            longest_s=max(longest_s(parts, route) for route in policy.routes),
        )

    def replaced(self, old: Generation, new: Generation) -> None:
        """Start what ``new`` brought; close what only ``old`` had, once no request can hold it."""
        self._endpoints.replaced(old.endpoints, new.endpoints, longest_s=old.longest_s)
        if self._models is not None:
            self._models.replaced(old.tiers, new.tiers)

    def _routes(self, policy: Policy, endpoints: EndpointSet, tiers: EdgeTiers) -> Mapping[str, Stack]:
        services = {name: guarded.service.entry for name, guarded in endpoints.by_name.items()}
        return {
            route.name: route_stack(
                self._parts,
                policy,
                route,
                locate=self._locate,
                endpoints=services,
                view=endpoints,
                cache=self._cache,
                edge=tiers.by_route.get(route.name),
            )
            for route in policy.routes
        }
