"""Assembly of an edge gateway: models, cache and endpoints, and the stacks that a policy makes of them.

One function opens each part and returns it as a value; ``open_edge`` lists them. What a function opens it
pushes on ``lifetimes``, so what is opened last is closed first:

1. loading and watching stop, so that no policy comes into force while everything closes;
2. listings and round trips of features, then their stores; what flies for the cache, then Redis;
3. copies of answered requests, then the endpoints' connections;
4. the models, and then what keeps their features.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from cache.invalidation.invalidations import Invalidations
from edge_models.repository import ModelRepository
from gateway.app.builder import Builder
from gateway.app.caches import open_cache, start_invalidations
from gateway.app.catalogs import EdgeCatalogs
from gateway.app.endpoint_files import EndpointFiles
from gateway.app.endpoints import Endpoints, make_endpoints
from gateway.app.features import Features, open_features, with_features
from gateway.app.foundation import Foundation
from gateway.app.generation import InForce
from gateway.app.geo_databases import GeoDatabases
from gateway.app.loading import Sources
from gateway.app.models import Models, open_models
from gateway.app.operated_cache import operate_cache
from gateway.app.policies import Policies
from gateway.app.pools.operated import OperatedEndpoints
from gateway.app.purges import OwnPurges
from gateway.app.queries import Queries
from gateway.app.tier import Report, Tier
from gateway.app.warming import open_warming
from gateway.app.workers.sequence_owner import SequenceOwner, make_sequence_owner
from gateway.core.control import NoCache
from gateway.core.features import NOT_ENRICHED
from gateway.core.purge import NoPurges, Purges
from gateway.core.repository import NoRepository, Repository
from routing.place import Place


async def open_edge(foundation: Foundation, lifetimes: AsyncExitStack) -> Tier:
    """Open the parts of an edge gateway and put its first policy in force.

    Raises:
        ModelError, GeoError, StartError, ConfigError: names the file that cannot be used.
    """
    settings, in_force, parts = foundation.settings, foundation.in_force, foundation.parts
    models = open_models(foundation, settings.models, lifetimes) if settings.models else None

    async def forget(model: str) -> None:
        if cache is not None:
            await cache.forget(model)

    endpoints = _open_endpoints(foundation, forget, lifetimes)
    cache = open_cache(foundation, models.instruction_set if models else "none", lifetimes)
    invalidations = await start_invalidations(cache, lifetimes)
    geo = _open_geo(foundation)
    owner = _owner(foundation)
    locate, knows = (geo.locate, geo.knows) if geo else (_nowhere, frozenset[str])
    features = open_features(foundation, lifetimes)
    builder = Builder(
        with_features(parts, features), endpoints, models, locate, cache, owner=owner, knows=knows
    )
    policies = await _open_policies(foundation, builder, endpoints.files, models, lifetimes)
    await open_warming(foundation, cache, lifetimes)
    await _start(owner, lifetimes)

    def look_anew() -> None:
        # A generation remembers where its callers are: another one, of the same policy, looks anew.
        policies.rebuild({})

    if geo is not None:
        lifetimes.push_async_callback(_cancelled, asyncio.create_task(geo.watch(look_anew)))

    async def reload() -> bool:
        if geo is not None:
            # Also where the policy cannot be used.
            await geo.reload(look_anew)
        return await policies.reload()

    return Tier(
        catalogs=_catalogs(foundation, models, features),
        repository=_repository(foundation, models, policies, features),
        policy_report=policies.report,
        health=_health(in_force, models, geo, invalidations),
        reload=reload,
        endpoints=_operated(foundation, endpoints),
        cache=NoCache() if cache is None else operate_cache(foundation, cache, lifetimes),
        purges=_purges(foundation, invalidations),
    )


def _open_endpoints(
    foundation: Foundation, forget: Callable[[str], Awaitable[None]], lifetimes: AsyncExitStack
) -> Endpoints:
    endpoints = make_endpoints(
        foundation.settings,
        foundation.parts,
        foundation.in_force.endpoints,
        foundation.offload,
        forget=forget,
        workers=foundation.workers,
    )
    lifetimes.push_async_callback(endpoints.aclose)
    lifetimes.push_async_callback(foundation.parts.shadows.aclose)
    return endpoints


def _catalogs(foundation: Foundation, models: Models | None, features: Features | None) -> EdgeCatalogs:
    own = models.registry if models is not None else None
    enriched = features.enriched if features is not None else NOT_ENRICHED
    return EdgeCatalogs(foundation.in_force, own, Queries(foundation.clock), enriched)


async def _start(owner: SequenceOwner | None, lifetimes: AsyncExitStack) -> None:
    if owner is not None:
        # Not before it can send them on: whoever had the slot does so until then.
        lifetimes.push_async_callback(owner.aclose)
        await owner.start()


def _purges(foundation: Foundation, invalidations: Invalidations | None) -> Purges:
    if invalidations is None:
        return NoPurges()
    return OwnPurges(foundation.settings.region, invalidations, lambda: foundation.in_force.current().policy)


def _health(
    in_force: InForce,
    models: Models | None,
    geo: GeoDatabases | None,
    invalidations: Invalidations | None,
) -> dict[str, Report]:
    health: dict[str, Report] = {"endpoints": lambda: in_force.endpoints().report()}
    if models is not None:
        health["certificates"] = lambda: in_force.edge_models().report()
        health["models"] = models.report
    if geo is not None:
        health["geo"] = geo.report
    if invalidations is not None and invalidations.regions:
        health["invalidation"] = invalidations.report
    return health


def _owner(foundation: Foundation) -> SequenceOwner | None:
    """Return what hands steps to the worker that knows their endpoint; it leaves no sooner than they end."""
    sends = partial(foundation.parts.drain, service=foundation.in_force.send)
    return make_sequence_owner(foundation.inheritance, sends, lambda _: True, stands_in=True)


def _operated(foundation: Foundation, endpoints: Endpoints) -> OperatedEndpoints:
    operated = OperatedEndpoints(foundation.in_force.endpoints, endpoints.drained)
    foundation.prometheus.watch_members(operated.rows)
    return operated


def _open_geo(foundation: Foundation) -> GeoDatabases | None:
    settings = foundation.settings.geo
    if settings is None:
        return None
    return GeoDatabases(settings, clock=foundation.clock, telemetry=foundation.prometheus)


def _nowhere(_address: str) -> Place | None:
    return None


async def _open_policies(
    foundation: Foundation,
    builder: Builder,
    files: EndpointFiles,
    models: Models | None,
    lifetimes: AsyncExitStack,
) -> Policies:
    settings = foundation.settings
    assert settings.policy is not None, "load_settings has checked it"
    policies = Policies(
        Sources(Path(settings.policy), settings.region, models, foundation.tls, files),
        builder,
        foundation.in_force,
        clock=foundation.clock,
        telemetry=foundation.prometheus,
    )
    await policies.start()
    watch = asyncio.create_task(policies.watch())
    lifetimes.push_async_callback(_cancelled, watch)
    return policies


def _repository(
    foundation: Foundation, models: Models | None, policies: Policies, features: Features | None
) -> Repository:
    settings = foundation.settings
    if models is None or settings.models is None:
        return NoRepository()

    def prepare(model: str) -> Callable[[], None]:
        certificates = models.read_certificates({model})
        enriched = features.read(model) if features is not None else ()

        def enforce() -> None:
            if features is not None:
                features.put(model, enriched)
            foundation.requests.expect(models.names())
            policies.rebuild(certificates)

        return enforce

    return ModelRepository(
        models.registry,
        models.predictor,
        settings.models.batching,
        is_cached=lambda _model: settings.cache is not None,
        telemetry=foundation.prometheus,
        prepare=prepare,
    )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
