"""Settings of the features that models in two files compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from cache.features.computed import ComputedFeatures, FeatureScope
from cache.invalidation.epochs import Epochs
from cache.key import derive_secret
from cache.levels.level import Level, LevelParts, Levels
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.levels.redis_settings import RedisSettings
from gateway.core.cache_levels import L3, L3_REDIS


class FeatureSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What backbones of models in two files compute is kept, by content, for every head on them: L3.

    It is shared as answers are (``scope``), and only of requests whose answers may be kept.
    """

    enabled: bool = True
    """False: each request runs both parts."""

    max_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 64 << 20
    """Bytes of this process's memory for features, beside those for answers. Default 64 MiB; nothing is
    taken before a model in two files answers."""

    redis: bool = True
    """Whether they are also kept in the cache's Redis, under keys of their own (NAMESPACE:features)."""

    ttl_s: Annotated[float, Meta(gt=0, le=30 * 86400)] = 86400.0
    """Seconds that features are kept. They never become wrong: the backbone's digest is in their key."""


def open_features(
    settings: FeatureSettings,
    redis: RedisSettings | None,
    parts: LevelParts,
    *,
    key_secrets: Sequence[str | None],
    scope: FeatureScope,
    epochs: Epochs | None = None,
) -> tuple[ComputedFeatures, Levels]:
    """Return what keeps features, and its levels, which the caller closes. Redis is connected when used.

    ``key_secrets``: what seals in Redis, and then those whose values are still read.

    Raises:
        LevelError: says which setting cannot be used.
    """
    memory = MemoryLevel(MemorySettings(max_bytes=settings.max_bytes), parts.telemetry, name=L3)
    levels: Levels = (memory,)
    if redis is not None and settings.redis:
        levels = (*levels, _shared(redis, parts, key_secrets))
    store = ComputedFeatures(
        levels,
        # Not of key_secret, which changes without a flush. Redis sees a keyed hash of a key.
        secret=derive_secret(None, "feature keys"),
        scope=scope,
        ttl_s=settings.ttl_s,
        clock=parts.clock,
        telemetry=parts.telemetry,
        epochs=epochs,
    )
    return store, levels


def _shared(redis: RedisSettings, parts: LevelParts, key_secrets: Sequence[str | None]) -> Level:
    # Within the namespace, so that an ACL bound to it covers them.
    own = msgspec.structs.replace(redis, namespace=f"{redis.namespace}:features")
    secret, *previous = (derive_secret(each, "feature values") for each in key_secrets)
    return own.open(parts, secret, tuple(previous), name=L3_REDIS)
