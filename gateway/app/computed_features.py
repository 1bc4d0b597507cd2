"""Assembly of what keeps the features of models in two files."""

from __future__ import annotations

from contextlib import AsyncExitStack

from cache.features.computed import FeatureScope
from cache.features.computed_settings import open_features
from cache.levels.level import LevelError, LevelParts
from edge_models.isa import instruction_set_class
from gateway.app.caches import gate_of
from gateway.app.errors import StartError
from gateway.app.foundation import Foundation
from gateway.core.feature_store import FeatureStore


def open_feature_store(foundation: Foundation, lifetimes: AsyncExitStack) -> FeatureStore | None:
    """Return what keeps features; None where there is no cache, or no model of this process's own.

    Raises:
        StartError: says which setting cannot be used.
    """
    settings = foundation.settings.cache
    if settings is None or foundation.settings.models is None or not settings.features.enabled:
        return None
    try:
        store, levels = open_features(
            settings.features,
            settings.redis,
            LevelParts(gate_of(foundation, {}), foundation.clock, foundation.prometheus),
            key_secret=settings.key_secret,
            scope=FeatureScope(settings.scope == "tenant", instruction_set_class()),
        )
    except LevelError as error:
        raise StartError(str(error)) from None
    for level in levels[1:]:
        lifetimes.push_async_callback(level.aclose)
    lifetimes.push_async_callback(store.aclose)
    return store
