"""Assembly of the cache levels of one edge gateway."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from cache.key import derive_secret
from cache.levels.memory import MemoryLevel
from cache.levels.redis import RedisLevel
from cache.settings import RedisSettings
from gateway.app.errors import StartError
from gateway.app.foundation import Foundation
from gateway.app.stacks import Levels
from gateway.core.telemetry import BreakerAppeared
from resilience.circuit import Circuit
from resilience.settings import BreakerSettings

REDIS_BREAKER: Final = BreakerSettings(consecutive_5xx=5, base_ejection_time_s=1.0, max_ejection_time_s=60.0)
"""Redis is a cache: trying it again costs one skipped look-up, so it is tried again sooner."""


def open_levels(foundation: Foundation, instruction_set: str, lifetimes: AsyncExitStack) -> Levels | None:
    """Return the cache levels; None where the settings have no cache.

    Raises:
        StartError: the URL of Redis cannot be used.
    """
    settings = foundation.settings.cache
    if settings is None:
        return None
    memory = MemoryLevel(settings.memory, telemetry=foundation.prometheus)
    remote = None
    if settings.redis is not None:
        remote = _open_redis(foundation, settings.redis, derive_secret(settings.key_secret, "values"))
        lifetimes.push_async_callback(remote.aclose)
    levels = Levels(settings, memory, remote, instruction_set)
    lifetimes.push_async_callback(levels.close_flights)
    return levels


def _open_redis(foundation: Foundation, settings: RedisSettings, secret: bytes) -> RedisLevel:
    telemetry = foundation.prometheus
    gate = Circuit("redis", REDIS_BREAKER, foundation.clock, telemetry)
    telemetry.emit(BreakerAppeared(gate.name))
    try:
        return RedisLevel(settings, secret, gate=gate, clock=foundation.clock, telemetry=telemetry)
    except (ValueError, TypeError):
        # Nothing of the URL, nor of an error about it: either may hold the password.
        raise StartError(
            "cache.redis.url cannot be used: check its host, port and options, and write special "
            "characters of a password as %XX"
        ) from None
