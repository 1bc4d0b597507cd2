"""Makes generations of the parts that outlive them."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.app.dispatch import RouteDispatch
from gateway.app.edge_tier import NO_TIERS, EdgeTiers, Models
from gateway.app.endpoint_set import EndpointSet
from gateway.app.endpoints import Endpoints
from gateway.app.generation import PolicyGeneration
from gateway.app.loading import Loaded
from gateway.app.stacks import Levels, Parts, door, longest_s, route_service
from gateway.core.service import Service
from routing.policy import Policy
from routing.residency import Locate


class Builder:
    """Builds the generation of what was loaded, and looks after what a swap leaves behind.

    ``build`` changes nothing that is in force; ``replaced`` is called after the swap, and cannot fail.
    """

    def __init__(
        self,
        parts: Parts,
        endpoints: Endpoints,
        models: Models | None,
        locate: Locate,
        levels: Levels | None,
    ) -> None:
        self._parts, self._endpoints, self._models = parts, endpoints, models
        self._locate, self._levels = locate, levels

    def __repr__(self) -> str:
        return f"<Builder for {self._parts.region}>"

    def build(self, loaded: Loaded) -> PolicyGeneration:
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
            service = door(parts, policy, RouteDispatch(policy, self._stacks(policy, endpoints, tiers)))
        except BaseException:
            self._endpoints.discard(endpoints)
            raise
        return PolicyGeneration(
            policy.generation,
            service,
            policy=policy,
            text=loaded.text,
            endpoints=endpoints,
            tiers=tiers,
            longest_s=max(longest_s(parts, route) for route in policy.routes),
        )

    def replaced(self, old: PolicyGeneration, new: PolicyGeneration) -> None:
        """Begin to look after what ``new`` brought, and close what ``old`` alone had once nobody holds it."""
        self._endpoints.replaced(old.endpoints, new.endpoints, longest_s=old.longest_s)
        if self._models is not None:
            self._models.replaced(old.tiers, new.tiers)

    def _stacks(self, policy: Policy, endpoints: EndpointSet, tiers: EdgeTiers) -> Mapping[str, Service]:
        services = {name: guarded.service for name, guarded in endpoints.by_name.items()}
        return {
            route.name: route_service(
                self._parts,
                policy,
                route,
                locate=self._locate,
                endpoints=services,
                view=endpoints,
                levels=self._levels,
                edge=tiers.by_route.get(route.name),
            )
            for route in policy.routes
        }
