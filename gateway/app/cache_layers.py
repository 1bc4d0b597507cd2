"""The layers of a stack that keep answers, why each stands where it stands, and when there are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

from cache.controls import CacheControls
from cache.early_refresh import EarlyRefreshes
from cache.fill import CacheFill
from cache.freshness import Freshness
from cache.key import RequestHasher, derive_secret
from cache.levels.level import Levels, NearLevel
from cache.lookup import CacheLookup
from cache.negative import NegativeCache
from cache.request_log.recording import LoggedLevel, LoggedMisses
from cache.settings import CacheSettings
from cache.single_flight import SingleFlight
from cache.status import CacheStatusMark
from gateway.app.cache_rules import lacking, levels_of, settings_of
from gateway.app.kept_answers import KeptAnswerCheck
from gateway.app.parts import CacheParts, Parts, RouteEdgeModel
from gateway.app.shared_caching import leases_of, least_beta, refreshing
from gateway.app.verification import CentralTier
from gateway.core.catalog import ModelSpec
from gateway.core.request import Request, Response
from gateway.core.service import Pending, Service
from gateway.core.stack import Layer
from routing.caching import BypassRules
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
    *,
    central: CentralTier | None = None,
) -> tuple[Layer, ...]:
    """Return the layers that keep answers of ``route``, ``edge``: its edge model.

    ``central``: where popular answers of the edge are verified; None: they are not.
    """
    if cache is None or why_uncached(route, edge, cache.levels):
        return ()
    settings = least_beta(settings_of(cache.settings, route.cache), route.cache)
    levels = levels_of(cache.levels, route.cache)
    artefacts = (*route.digests, edge.digest) if edge else route.digests
    freshness = Freshness(settings, parts.chance, frozenset(artefacts))
    near, refreshes, fill = _filling(
        parts, route, levels, settings, edge=edge, known=known, central=central, freshness=freshness
    )
    flight = SingleFlight(parts.clock, parts.telemetry)
    cache.flights.update((refreshes, flight))
    lookup = CacheLookup(
        LoggedLevel(near, cache.request_log, freshness) if cache.request_log else near,
        hasher=_hasher(cache, settings, artefacts, edge, route.cache.tags),
        freshness=freshness,
        refreshes=refreshes,
        forbids=partial(known.forbid_keeping, route.endpoints),
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    look_up = "Above the models and everything remote: a hit saves them all."
    return (
        *_rules(parts, route, settings, known),
        Layer("cache look-up", look_up, lookup, parts.observed.span("cache")),
        *_logged(cache, freshness),
        *_negative(parts, settings, levels, cache),
        Layer("single flight", "Below the look-up, because hits need none: equal misses are one.", flight),
        Layer(
            "cache fill",
            "Below SingleFlight: once for all equal misses, the further levels are read and all are written.",
            fill,
        ),
    )


def _filling(
    parts: Parts,
    route: Route,
    levels: Levels,
    settings: CacheSettings,
    *,
    edge: RouteEdgeModel | None,
    known: KnownModels,
    central: CentralTier | None,
    freshness: Freshness,
) -> tuple[NearLevel, EarlyRefreshes, CacheFill]:
    """Return the first level as the look-up sees it, the refreshes that it starts, and what fills all levels.

    Refreshes of popular answers go through what fills, which starts refreshes itself.
    """
    made: list[CacheFill] = []

    def keep(request: Request, service: Service) -> Response | Pending:
        return made[0](request, service)

    near, refreshes = refreshing(parts, route, settings, levels[0], edge=edge, central=central, fill=keep)
    is_signed = settings.key_secret is not None
    fill = CacheFill(
        levels,
        freshness=freshness,
        refreshes=refreshes,
        accepts=KeptAnswerCheck(partial(known.signatures, route.endpoints), edge, is_signed=is_signed),
        keeps=partial(known.let_keep, route.endpoints),
        leases=leases_of(parts, route, levels),
        clock=parts.clock,
        telemetry=parts.telemetry,
    )
    made.append(fill)
    return near, refreshes, fill


def _rules(parts: Parts, route: Route, settings: CacheSettings, known: KnownModels) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    if route.cache.bypass or settings.ignore_request_cache_control:
        layers.append(
            Layer(
                "cache controls",
                "Above the look-up: the route decides what of a client's Cache-Control it is to obey.",
                CacheControls(BypassRules(route.cache.bypass), ignores=settings.ignore_request_cache_control),
            )
        )
    if settings.status_headers:
        layers.append(
            Layer(
                "cache status",
                "Directly above the look-up, and below what has decided that a request passes it by.",
                CacheStatusMark(parts.clock, partial(known.forbid_keeping, route.endpoints)),
            )
        )
    return tuple(layers)


def _logged(cache: CacheParts, freshness: Freshness) -> tuple[Layer, ...]:
    if cache.request_log is None:
        return ()
    why = (
        "Directly below the look-up, whose misses it notes; above the flights, each of whose requests is one."
    )
    return (Layer("request log", why, LoggedMisses(cache.request_log, freshness)),)


def _negative(parts: Parts, settings: CacheSettings, levels: Levels, cache: CacheParts) -> tuple[Layer, ...]:
    if not settings.negative_ttl_s or not levels[0].has_room:
        return ()
    return (
        Layer(
            "negative cache",
            "Below the look-up, whose key it goes by; above the flights, as a known refusal needs none.",
            NegativeCache(cache.verdicts, settings.negative_ttl_s, parts.clock, parts.telemetry),
        ),
    )


def why_uncached(route: Route, edge: RouteEdgeModel | None, levels: Levels) -> str:
    """Return why a gateway with the cache ``levels`` keeps no answers of ``route``; empty: it does."""
    if edge is not None and edge.response_cache is False:
        return "the model's configuration has a response_cache that is not enabled"
    if not route.cache.enabled:
        return f"route '{route.name}' of the policy has `cache: {{enabled: false}}`"
    if not route.digests:
        # Keys are content-addressed.
        return f"route '{route.name}' of the policy has no digest of what answers"
    wanted = route.cache.levels or ()
    if wanted and len(lacking(levels, route.cache)) == len(wanted):
        return f"route '{route.name}' of the policy uses {' and '.join(wanted)} alone, which is not here"
    return ""


def _hasher(
    cache: CacheParts,
    settings: CacheSettings,
    artefacts: tuple[str, ...],
    edge: RouteEdgeModel | None,
    tags: tuple[str, ...],
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
        epochs=cache.invalidations.epochs if cache.invalidations else None,
        tags=tags,
    )
