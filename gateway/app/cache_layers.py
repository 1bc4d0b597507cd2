"""The layers of a stack that keep answers, why each stands where it stands, and when there are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from cache.early_refresh import EarlyRefreshes
from cache.fill import CacheFill
from cache.freshness import Freshness
from cache.key import RequestHasher, derive_secret
from cache.lookup import CacheLookup
from cache.settings import CacheSettings
from cache.single_flight import SingleFlight
from gateway.app.kept_answers import KeptAnswerCheck
from gateway.app.parts import CacheParts, Parts, RouteEdgeModel, timeout_s
from gateway.core.catalog import ModelSpec
from gateway.core.request import Request, Response
from gateway.core.stack import Layer
from routing.policy import Route


class KnownModels(Protocol):
    """What endpoints, by their names, say of their models (``gateway.app.endpoint_set.EndpointSet``)."""

    def signatures(self, names: Iterable[str], model: str, version: str) -> Sequence[ModelSpec] | None:
        """Return the metadata of a model; None: nothing is known yet."""
        ...

    def forbid_keeping(self, names: Iterable[str], model: str) -> bool:
        """Whether one of them is known to have answers of the model not kept."""
        ...

    def let_keep(self, names: Iterable[str], request: Request, response: Response) -> bool:
        """Whether none does, as far as is known; where nothing is, they are asked beside."""
        ...


def cache_layers(
    parts: Parts,
    route: Route,
    cache: CacheParts | None,
    edge: RouteEdgeModel | None,
    known: KnownModels,
) -> tuple[Layer, ...]:
    """Return the layers that keep answers of ``route``, ``edge``: its edge model."""
    if cache is None or why_uncached(route, edge):
        return ()
    settings = _settings_of(cache, route)
    artefacts = (*route.digests, edge.digest) if edge else route.digests
    freshness = Freshness(settings, parts.chance, frozenset(artefacts))
    refreshes = EarlyRefreshes(parts.clock, timeout_s=timeout_s(parts, route), most=settings.max_refreshes)
    flight = SingleFlight(parts.clock, parts.telemetry)
    cache.flights.update((refreshes, flight))
    lookup = CacheLookup(
        cache.levels[0],
        hasher=_hasher(cache, settings, artefacts, edge),
        freshness=freshness,
        refreshes=refreshes,
        forbids=partial(known.forbid_keeping, route.endpoints),
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    return (
        Layer(
            "cache look-up",
            "Above the models and everything remote: a hit saves them all.",
            lookup,
            parts.observed.span("cache"),
        ),
        Layer("single flight", "Below the look-up, because hits need none: equal misses are one.", flight),
        Layer(
            "cache fill",
            "Below SingleFlight: once for all equal misses, the further levels are read and all are written.",
            CacheFill(
                cache.levels,
                freshness=freshness,
                accepts=KeptAnswerCheck(
                    partial(known.signatures, route.endpoints),
                    edge,
                    is_signed=settings.key_secret is not None,
                ),
                keeps=partial(known.let_keep, route.endpoints),
                clock=parts.clock,
                telemetry=parts.telemetry,
            ),
        ),
    )


def _settings_of(cache: CacheParts, route: Route) -> CacheSettings:
    ttl_s = cache.settings.ttl_s if route.cache.ttl_s is None else route.cache.ttl_s
    return msgspec.structs.replace(cache.settings, ttl_s=ttl_s)


def why_uncached(route: Route, edge: RouteEdgeModel | None) -> str:
    """Return why a gateway with a cache keeps no answers of ``route``; empty: it does."""
    if edge is not None and edge.response_cache is False:
        return "the model's configuration has a response_cache that is not enabled"
    if not route.cache.enabled:
        return f"route '{route.name}' of the policy has `cache: {{enabled: false}}`"
    if not route.digests:
        # Keys are content-addressed.
        return f"route '{route.name}' of the policy has no digest of what answers"
    return ""


def _hasher(
    cache: CacheParts, settings: CacheSettings, artefacts: tuple[str, ...], edge: RouteEdgeModel | None
) -> RequestHasher:
    return RequestHasher(
        # Not of key_secret: that changes, and a request keeps its key. Redis sees a keyed hash of it.
        derive_secret(None, "keys"),
        identity="+".join(artefacts),
        instruction_set=cache.instruction_set,
        per_tenant=settings.scope == "tenant",
        # Another threshold may draw another tier's answer, and under a refused certificate none of the edge's
        # answers is what it was.
        proof=edge.licence.proof if edge else str,
    )
