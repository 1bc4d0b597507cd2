"""Assembly of what keeps the features of models in two files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from cache.features.computed import FeatureScope
from cache.features.computed_settings import open_features
from cache.invalidation.epochs import Epochs
from cache.levels.level import LevelError, LevelParts, Levels
from edge_models.isa import instruction_set_class
from gateway.app.caches import gate_of
from gateway.app.errors import StartError
from gateway.app.foundation import Foundation
from gateway.core.feature_store import FeatureStore
from resilience.circuit import Circuit


@dataclass(frozen=True, slots=True)
class ComputedParts:
    """What keeps features, and what an operator sees of it: its levels, and the gate before Redis by name."""

    store: FeatureStore
    levels: Levels
    gates: Mapping[str, Circuit]


def open_computed(
    foundation: Foundation, lifetimes: AsyncExitStack, epochs: Epochs | None = None
) -> ComputedParts | None:
    """Return what keeps features; None where there is no cache, or no model of this process's own.

    ``epochs``: what was invalidated.

    Raises:
        StartError: says which setting cannot be used.
    """
    settings = foundation.settings.cache
    if settings is None or foundation.settings.models is None or not settings.features.enabled:
        return None
    gates: dict[str, Circuit] = {}
    secrets = dict.fromkeys((settings.key_secret, *settings.previous_key_secrets))
    try:
        store, levels = open_features(
            settings.features,
            settings.redis,
            LevelParts(gate_of(foundation, gates), foundation.clock, foundation.prometheus),
            key_secrets=tuple(secrets),
            scope=FeatureScope(settings.scope == "tenant", instruction_set_class()),
            epochs=epochs,
        )
    except LevelError as error:
        raise StartError(str(error)) from None
    for level in levels[1:]:
        lifetimes.push_async_callback(level.aclose)
    lifetimes.push_async_callback(store.aclose)
    return ComputedParts(store, levels, gates)
