"""Settings of the cache, its levels and the freshness of what they hold.

To add a level: its settings here, a line in ``open_levels``, and its name in ``gateway.core.cache_levels``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from cache.key import derive_secret

if TYPE_CHECKING:
    from cache.levels.level import Level, LevelParts, Levels, NearLevel


class MemorySettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The level in this process, L1."""

    max_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 << 20
    """Bytes that the level may take, its own bookkeeping included. Default 256 MiB."""

    def open(self, parts: LevelParts) -> NearLevel:
        """Make the level."""
        from cache.levels.memory import MemoryLevel  # noqa: PLC0415 - it needs these settings

        return MemoryLevel(self, parts.telemetry)


class RedisSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The level that the gateways of a region share, L2."""

    url: Annotated[str, Meta(pattern=r"^(redis|rediss|unix)://")]
    """``redis://[[user]:password@]host:port/db``; ``rediss`` for TLS, ``unix`` for a socket."""

    timeout_ms: Annotated[int, Meta(ge=1, le=1000)] = 30
    """Milliseconds that a look-up may cost, connecting and waiting for a connection included."""

    max_connections: Annotated[int, Meta(ge=2, le=1024)] = 32
    """Connections at most; one of them writes, the others read."""

    max_value_bytes: Annotated[int, Meta(ge=1 << 10, le=64 << 20)] = 1 << 20
    """Larger values are neither written nor read. Default 1 MiB."""

    namespace: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "edgeway"
    """First part of every key, so that an ACL can be bound to it."""

    def __repr__(self) -> str:
        # The URL may hold a password.
        return f"<RedisSettings {self.namespace}, {self.timeout_ms} ms>"

    def open(self, parts: LevelParts, secret: bytes) -> Level:
        """Make the level. It connects when it is first used.

        Raises:
            LevelError: the URL cannot be used.
        """
        from cache.levels.redis import RedisLevel  # noqa: PLC0415 - the client is for who has a Redis

        return RedisLevel(
            self, secret, gate=parts.gate("redis"), clock=parts.clock, telemetry=parts.telemetry
        )


class CacheSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The cache of one gateway."""

    memory: MemorySettings = MemorySettings()
    redis: RedisSettings | None = None
    """None: no L2."""

    ttl_s: Annotated[float, Meta(gt=0, le=30 * 86400)] = 3600.0
    """Seconds that an answer stays fresh, before jitter."""

    jitter: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """The time to live of each answer is multiplied once by U(1 - jitter, 1 + jitter)."""

    uncertified_ttl_s: Annotated[float, Meta(ge=0, le=5)] = 5.0
    """Seconds at most that an uncertified answer is kept, in L1 only. 0: never kept."""

    stale_if_error_s: Annotated[float, Meta(ge=0, le=86400)] = 60.0
    """Seconds past its freshness that an answer may still be served when no new one can be had."""

    early_beta: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """Eagerness of the early refresh: XFetch's beta. 0: none."""

    max_refreshes: Annotated[int, Meta(ge=1, le=4096)] = 64
    """Early refreshes under way at once; one that finds no place is left to a later hit."""

    scope: Literal["tenant", "residency"] = "tenant"
    """Who shares answers: one tenant within its residency class, or the whole residency class."""

    key_secret: Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{2}){16,64}$")] | None = None
    """16 to 64 bytes in hex that key the hashes; the same for all gateways that share one Redis.

    Without it a constant is used, and whoever can write to Redis can forge answers.
    """

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
        if self.redis is not None:
            levels = (*levels, self.redis.open(parts, derive_secret(self.key_secret, "values")))
        return levels
