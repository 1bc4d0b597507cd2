"""Settings of the cache, which levels it has, and the freshness of what they hold.

To add a level: here a field with its settings and a line in ``open_levels``; its name in
``gateway.core.cache_levels``.
"""

from __future__ import annotations

import logging
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from cache.features.computed_settings import FeatureSettings
from cache.key import derive_secret
from cache.levels.level import LevelParts, Levels
from cache.levels.memory import MemorySettings
from cache.levels.redis_settings import RedisSettings
from cache.request_log.settings import RequestLogSettings
from cache.warming.level import WarmLevel
from cache.warming.settings import WarmingSettings

_log: Final = logging.getLogger("edgeway.redis")


Secret = Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{2}){16,64}$")]


class CacheSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The cache of one gateway."""

    memory: MemorySettings = MemorySettings()
    redis: RedisSettings | None = None
    """None: no L2."""

    ttl_s: Annotated[float, Meta(gt=0, le=30 * 86400)] = 3600.0
    """Seconds that an answer stays fresh, before jitter."""

    central_ttl_s: Annotated[float, Meta(gt=0, le=30 * 86400)] | None = None
    """The same for answers of central; absent: as ``ttl_s``."""

    edge_ttl_s: Annotated[float, Meta(gt=0, le=30 * 86400)] | None = None
    """The same for certified answers of the edge; absent: as ``ttl_s``."""

    jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """The time to live of each answer is multiplied once by U(1 - jitter, 1 + jitter)."""

    uncertified_ttl_s: Annotated[float, Meta(ge=0, le=5)] = 5.0
    """Seconds at most that an uncertified answer is kept, in L1 only. 0: never kept."""

    stale_if_error_s: Annotated[float, Meta(ge=0, le=86400)] = 60.0
    """Seconds past its freshness that an answer may still be served when no new one can be had."""

    stale_while_revalidate_s: Annotated[float, Meta(ge=0, le=86400)] = 0.0
    """Seconds past its freshness that an answer is served at once while one refresh runs (RFC 5861)."""

    negative_ttl_s: Annotated[float, Meta(ge=0, le=300)] = 0.0
    """Seconds that an endpoint's verdict on inputs (400, INVALID_ARGUMENT) is kept, in this process only.
    0: never. Errors of any other kind are never kept."""

    negative_max_bytes: Annotated[int, Meta(ge=1 << 10, le=1 << 30)] = 1 << 20
    """Bytes of all such verdicts together; the oldest go first."""

    ignore_request_cache_control: bool = False
    """Whether what clients say by ``Cache-Control``, or the parameter ``cache_control``, means nothing."""

    status_headers: bool = False
    """Whether answers say ``Age`` and ``x-edgeway-cache``."""

    early_beta: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """Eagerness of the early refresh: XFetch's beta. 0: none."""

    max_refreshes: Annotated[int, Meta(ge=1, le=4096)] = 64
    """Early refreshes under way at once; one that finds no place is left to a later hit."""

    max_verifications_per_s: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """Popular edge answers that are compared with central's, per second, in each process and route that has
    ``verify_after``."""

    scope: Literal["tenant", "residency"] = "tenant"
    """Who shares answers: one tenant within its residency class, or the whole residency class."""

    features: FeatureSettings = FeatureSettings()

    request_log: RequestLogSettings | None = None
    """None: look-ups are not logged."""

    warming: WarmingSettings | None = None
    """None: nothing is offered to other regions, and nothing of theirs is taken."""

    key_secret: Secret | None = None
    """16 to 64 bytes in hex that Redis's names and values are hashed and sealed with; the same for all
    gateways that share one Redis.

    Without it a constant is used, and whoever can write to Redis can forge answers: allowed only while
    Redis is on this machine (loopback or a Unix socket), and then a start says so.
    """

    previous_key_secrets: Annotated[tuple[Secret, ...], Meta(max_length=3)] = ()
    """Secrets whose values are still read, while ``key_secret`` alone seals: so it changes without a flush.

    Three rounds through all gateways: the new secret here, then as ``key_secret`` with the old one here,
    and ``ttl_s`` and ``stale_if_error_s`` later without the old one. Each costs a command more in the
    round trip of a look-up.
    """

    def __post_init__(self) -> None:
        """Refuse a Redis elsewhere, or neighbours, without a secret."""
        if self.warming is not None and self.key_secret is None:
            raise ValueError(
                "key_secret is missing, and warming needs it: neighbours know each other by it, and without "
                "the same one their keys would never meet. Make a secret with `openssl rand -hex 32` and set "
                "it in the gateways of all regions"
            )
        if self.redis is not None and self.key_secret is None and not self.redis.is_local:
            raise ValueError(
                "key_secret is missing, and redis.url leads to another host: whoever can write there, or "
                "answer in its place, could forge answers. Make a secret with `openssl rand -hex 32` and set "
                "it in all gateways that share this Redis"
            )

    def __repr__(self) -> str:
        # Neither the secret nor the URL of Redis belongs in a log.
        return (
            f"<CacheSettings {self.memory.max_bytes >> 20} MiB of memory, Redis {self.redis},"
            f" ttl {self.ttl_s:g} s>"
        )

    def open_levels(self, parts: LevelParts) -> Levels:
        """Make the levels in use, fastest first.

        Raises:
            LevelError: says which setting cannot be used.
        """
        levels: Levels = (self.memory.open(parts),)
        if self.warming is not None and self.warming.listen is not None:
            levels = (*levels, WarmLevel(self.warming.max_bytes, parts.clock, parts.telemetry))
        if self.redis is not None:
            levels = (*levels, self.redis.open(parts, *self._redis_secrets()))
            if self.key_secret is None:
                _log.warning(
                    "cache.key_secret is not set: who can write to the Redis of this machine can forge "
                    "answers; make one with `openssl rand -hex 32`"
                )
        return levels

    def _redis_secrets(self) -> tuple[bytes, tuple[bytes, ...]]:
        """Return what seals, and what has sealed before."""
        previous = dict.fromkeys(self.previous_key_secrets)
        return (
            derive_secret(self.key_secret, "values"),
            tuple(derive_secret(each, "values") for each in previous if each != self.key_secret),
        )
