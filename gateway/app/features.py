"""Assembly of looked-up features: the stores of the settings, and which inputs of which models they fill."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Final

from cache.features.enrichment import Enrichment
from cache.features.filling import VectorSource
from cache.features.known_ids import KnownIds
from cache.features.loader import FeatureLoader
from cache.features.settings import FeaturesSettings, StoreSettings
from cache.features.stores.store import Store
from cache.levels.level import LevelError
from edge_models.enrich_file import ENRICH_FILE, read_enriched
from edge_models.errors import ModelError
from edge_models.version_folders import entries
from gateway.app.caches import make_circuit
from gateway.app.errors import StartError
from gateway.app.feature_http import http_send
from gateway.app.foundation import Foundation
from gateway.app.parts import Parts
from gateway.core.clock import Clock
from gateway.core.features import EnrichedInput
from gateway.core.gate import Gate, GateSettings
from gateway.core.spelling import unknown
from gateway.core.stack import Layer
from routing.patterns import covers
from routing.policy import Route

GATE: Final = GateSettings(max_failures=5, first_wait_s=1.0, longest_wait_s=30.0)
"""While a store's gate is shut defaults are used at once, and one request tries whether it is back."""

_SECRET_BYTES: Final = 32
"""Keys the hashes of a filter: nobody outside can choose ids that pass it."""


@dataclass(frozen=True, slots=True)
class Features:
    """The stores, and what the repository declares. ``enriched``: model → its filled inputs, as of now."""

    settings: FeaturesSettings
    region: str
    repository: Path | None = None
    loaders: Mapping[str, FeatureLoader] = field(default_factory=dict)
    enriched: dict[str, tuple[EnrichedInput, ...]] = field(default_factory=dict)

    def read(self, model: str) -> tuple[EnrichedInput, ...]:
        """Read what the folder of ``model`` declares; it blocks, and nothing in force changes.

        Raises:
            ModelError: the file cannot be used, or names a store that the settings do not have.
        """
        if self.repository is None:
            return ()
        folder = self.repository / model
        found = read_enriched(self.repository, folder)
        for each in found:
            if each.store not in self.settings.stores:
                what = unknown("store", each.store, self.settings.stores)
                raise ModelError(f"{folder / ENRICH_FILE}: from: {what} (`features.stores` of the settings)")
        return found

    def read_all(self) -> None:
        """Read what all folders declare, at a start.

        Raises:
            ModelError: as ``read``.
        """
        for folder in entries(self.repository) if self.repository is not None else ():
            if folder.is_dir():
                self.put(folder.name, self.read(folder.name))

    def put(self, model: str, found: tuple[EnrichedInput, ...]) -> None:
        """Fill these inputs of ``model`` from now on, and no others; stacks that are there fill as before."""
        self.enriched.pop(model, None)
        if found:
            self.enriched[model] = found

    def layers(self, parts: Parts, route: Route) -> tuple[Layer, ...]:
        """Return the layer that fills inputs of the models of ``route``; none where it has no such model."""
        refuses = route.on_features_down == "refuse"
        sources = {
            model: tuple(self._source(each, refuses=refuses) for each in found)
            for model, found in sorted(dict(self.enriched).items())
            if covers(route.match.model, model)
        }
        if not sources:
            return ()
        reason = (
            "Above the cache: vectors are inputs, and so part of the key: an answer is found again for the "
            "same vectors only. Below Residency, which says where a request may be seen, and Deadline."
        )
        return (
            Layer("enrichment", reason, Enrichment(sources, parts.telemetry), parts.observed.span("enrich")),
        )

    def _source(self, entry: EnrichedInput, *, refuses: bool) -> VectorSource:
        region = self.settings.stores[entry.store].region or self.region
        return VectorSource(entry, self.loaders[entry.store], region, self.settings.max_entities, refuses)


def with_features(parts: Parts, features: Features | None) -> Parts:
    """Return ``parts`` whose stacks fill inputs from ``features``."""
    return parts if features is None else replace(parts, enrich=partial(features.layers, parts))


def open_features(foundation: Foundation, lifetimes: AsyncExitStack) -> Features | None:
    """Open the stores, which connect when they are first asked; None where the settings have none.

    Raises:
        StartError: says which setting, or which file of the repository, cannot be used.
    """
    settings, models = foundation.settings.features, foundation.settings.models
    repository = Path(models.repository) if models is not None else None
    loaders: dict[str, FeatureLoader] = {}
    features = Features(settings or FeaturesSettings(), foundation.settings.region, repository, loaders)
    try:
        features.read_all()
    except ModelError as error:
        raise StartError(str(error)) from None
    if settings is None:
        return None
    for name, each in settings.stores.items():
        circuit = make_circuit(foundation, f"features:{name}", GATE)
        store = _open_store(name, each, circuit, foundation.clock)
        lifetimes.push_async_callback(store.aclose)
        loaders[name] = _open_loader(foundation, name, store, each, lifetimes)
    return features


def _open_loader(
    foundation: Foundation,
    name: str,
    store: Store,
    settings: StoreSettings,
    lifetimes: AsyncExitStack,
) -> FeatureLoader:
    clock, telemetry = foundation.clock, foundation.prometheus
    make = partial(
        FeatureLoader,
        name,
        store,
        settings,
        foundation.settings.features or FeaturesSettings(),
        clock=clock,
        chance=foundation.parts.chance,
        telemetry=telemetry,
    )
    if settings.known_ids is None:
        loader = make()
    else:
        known = KnownIds(
            name,
            store,
            settings.known_ids,
            clock=clock,
            telemetry=telemetry,
            secret=token_bytes(_SECRET_BYTES),
        )
        lifetimes.push_async_callback(_cancelled, asyncio.create_task(known.run()))
        loader = make(is_absent=known.is_absent)
    lifetimes.push_async_callback(loader.aclose)
    return loader


def _open_store(name: str, settings: StoreSettings, gate: Gate, clock: Clock) -> Store:
    if settings.redis is None:
        # Whoever has no store of a kind needs nothing of it.
        from cache.features.stores.http import HttpStore  # noqa: PLC0415

        return HttpStore(settings, http_send(name, settings), gate=gate)
    from cache.features.stores.redis import RedisStore  # noqa: PLC0415

    try:
        return RedisStore(settings, gate=gate, clock=clock)
    except LevelError as error:
        where = f"features.stores.{name}.redis"
        raise StartError(str(error).replace("cache.redis.url", where)) from None


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
