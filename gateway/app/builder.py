"""Makes generations of the parts that outlive them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Final, Protocol

from gateway.app.cache_layers import why_uncached
from gateway.app.certificates import Certificates
from gateway.app.dispatch import RouteDispatch
from gateway.app.endpoint_set import EndpointSet
from gateway.app.endpoints import Endpoints
from gateway.app.generation import Generation
from gateway.app.geo_needs import unmet
from gateway.app.loading import Loaded
from gateway.app.parts import CacheParts, Parts, longest_s, shadow_s
from gateway.app.route_edge_models import NO_EDGE_MODELS, RouteEdgeModels
from gateway.app.route_stacks import RouteStacks
from gateway.app.stacks import route_stack, shared_stack
from gateway.core.service import Filter
from gateway.core.stack import Stack
from routing.matching import Routes
from routing.network_table import located
from routing.policy import Policy, Route
from routing.residency import Locate
from routing.tenants import identify

_NO_CACHE: Final = "the settings have no cache (`cache: {}` has the defaults)"

_log: Final = logging.getLogger("edgeway")


class EdgeModels(Protocol):
    """The models of a process, as a builder needs them; ``gateway.app.models.Models`` is one."""

    def edge_models(
        self, routes: Iterable[Route], found: Certificates, *, forget: bool = False
    ) -> RouteEdgeModels:
        """Return the edge models of ``routes`` under the certificates ``found``."""
        ...

    def after_swap(self, old: RouteEdgeModels, new: RouteEdgeModels) -> None:
        """Take note that ``new`` is in force."""
        ...


class Builder:
    """Builds the generation of what was loaded, and closes what a swap leaves behind.

    ``build`` changes nothing that is in force; ``after_swap`` is called after the swap, and cannot fail.
    ``owner``: as ``route_stack`` has it. ``knows``: what the geo databases hold (``routing.geo_records``).
    """

    def __init__(
        self,
        parts: Parts,
        endpoints: Endpoints,
        models: EdgeModels | None,
        locate: Locate,
        cache: CacheParts | None,
        *,
        owner: Filter | None = None,
        knows: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._parts, self._endpoints, self._models = parts, endpoints, models
        self._locate, self._cache, self._owner = locate, cache, owner
        self._knows = knows
        self._serials = count(1)
        self._warned: set[tuple[str, str]] = set()
        self._unmet: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Builder for {self._parts.region}>"

    async def prebuild(self, loaded: Loaded) -> Loaded:
        """Make what takes long of ``loaded`` while the loop goes on; it is to be built next."""
        return replace(loaded, prebuilt=await self._endpoints.prebuild(loaded.policy))

    def let_go(self, loaded: Loaded) -> None:
        """Close what ``prebuild`` has made and nothing has used."""
        self._endpoints.let_go(loaded.prebuilt)

    def build(self, loaded: Loaded) -> Generation:
        """Return the generation of ``loaded``.

        Whatever it raises, what was opened for the new generation is closed.
        """
        try:
            return self._build(loaded)
        finally:
            # What the endpoints in use have now may be other than when it was made.
            self.let_go(loaded)

    def _build(self, loaded: Loaded) -> Generation:
        policy, parts = loaded.policy, self._parts
        assert parts.region in policy.regions, "parse_policy has checked it"
        edge_models = NO_EDGE_MODELS
        if self._models is not None:
            edge_models = self._models.edge_models(policy.routes, loaded.certificates, forget=loaded.forget)
        endpoints = self._endpoints.prepare(policy, loaded.rivals, loaded.prebuilt)
        try:
            locate = located(policy.networks, self._locate)
            routes = self._routes(policy, endpoints, edge_models, locate)
            serial = next(self._serials)
            check = identify(policy, locate, serial)
            matching = (loaded.matching or Routes(policy)).at(locate)
            stack = shared_stack(parts, policy, RouteDispatch(matching, routes), check)
        except BaseException:
            self._endpoints.discard(endpoints)
            raise
        return Generation(
            policy.generation,
            stack,
            routes,
            check,
            serial,
            policy=policy,
            matching=matching,
            text=loaded.text,
            endpoints=endpoints,
            edge_models=edge_models,
            longest_s=max(longest_s(parts, route) + shadow_s(route) for route in policy.routes),
            routed_headers=matching.headers,
        )

    def after_swap(self, old: Generation, new: Generation) -> None:
        """Start what ``new`` brought; close what only ``old`` had, once no request can hold it."""
        self._endpoints.after_swap(old.endpoints, new.endpoints, longest_s=old.longest_s)
        if self._models is not None:
            self._models.after_swap(old.edge_models, new.edge_models)
        self._warn_of_uncached(new)
        self._warn_of_unmet(new)

    def _warn_of_unmet(self, generation: Generation) -> None:
        """Say what is asked of places that nobody here knows, once for as long as it is so."""
        assert generation.policy is not None, "it was built of one"
        found = unmet(generation.policy, self._knows())
        for sentence in found:
            if sentence not in self._unmet:
                _log.warning("policy generation %d: %s", generation.number, sentence)
        self._unmet = frozenset(found)

    def _warn_of_uncached(self, generation: Generation) -> None:
        """Name the models whose own configuration wants a cache and whose route has none, once each."""
        assert generation.policy is not None, "it was built of one"
        wanting = {
            name: edge for name, edge in generation.edge_models.by_route.items() if edge.response_cache
        }
        for route in generation.policy.routes if wanting else ():
            if (edge := wanting.get(route.name)) is None:
                continue
            why = why_uncached(route, edge) if self._cache is not None else _NO_CACHE
            if why and (edge.model, why) not in self._warned:
                self._warned.add((edge.model, why))
                _log.warning(
                    "model %s: response_cache is enabled, and no answer is kept: %s", edge.model, why
                )

    def _routes(
        self, policy: Policy, endpoints: EndpointSet, edge_models: RouteEdgeModels, locate: Locate
    ) -> RouteStacks:
        def make(route: Route) -> Stack:
            return route_stack(
                self._parts,
                policy,
                route,
                locate=locate,
                endpoints=endpoints.by_name,
                view=endpoints,
                known=endpoints,
                cache=self._cache,
                edge=edge_models.by_route.get(route.name),
                owner=self._owner,
            )

        return RouteStacks(policy.routes, make)
