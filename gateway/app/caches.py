"""Assembly of the cache of one edge gateway."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from cache.levels.level import LevelError, LevelParts
from gateway.app.errors import StartError
from gateway.app.foundation import Foundation
from gateway.app.parts import CacheParts
from gateway.core.gate import Gate
from gateway.core.telemetry import BreakerAppeared
from resilience.circuit import Circuit
from resilience.settings import BreakerSettings

REDIS_BREAKER: Final = BreakerSettings(consecutive_5xx=5, base_ejection_time_s=1.0, max_ejection_time_s=60.0)
"""Redis is a cache: trying it again costs one skipped look-up, so it is tried again sooner."""


def open_cache(foundation: Foundation, instruction_set: str, lifetimes: AsyncExitStack) -> CacheParts | None:
    """Return the cache; None where the settings have none.

    Raises:
        StartError: says which setting cannot be used.
    """
    settings = foundation.settings.cache
    if settings is None:
        return None

    def gate(name: str) -> Gate:
        foundation.prometheus.emit(BreakerAppeared(name))
        return Circuit(name, REDIS_BREAKER, foundation.clock, foundation.prometheus)

    try:
        levels = settings.open_levels(LevelParts(gate, foundation.clock, foundation.prometheus))
    except LevelError as error:
        raise StartError(str(error)) from None
    for level in levels[1:]:
        lifetimes.push_async_callback(level.aclose)
    cache = CacheParts(settings, levels, instruction_set)
    lifetimes.push_async_callback(cache.close_flights)
    return cache
