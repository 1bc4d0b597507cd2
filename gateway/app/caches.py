"""Assembly of the cache of one edge gateway."""

from __future__ import annotations

from contextlib import AsyncExitStack

from cache.levels.level import LevelError, LevelParts
from gateway.app.errors import StartError
from gateway.app.foundation import Foundation
from gateway.app.parts import CacheParts
from gateway.core.gate import Gate, GateSettings
from gateway.core.telemetry import BreakerAppeared
from resilience.circuit import Circuit
from resilience.settings import BreakerSettings


def open_cache(foundation: Foundation, instruction_set: str, lifetimes: AsyncExitStack) -> CacheParts | None:
    """Return the cache; None where the settings have none.

    Raises:
        StartError: says which setting cannot be used.
    """
    settings = foundation.settings.cache
    if settings is None:
        return None

    gates: dict[str, Circuit] = {}

    def gate(name: str, wanted: GateSettings) -> Gate:
        breaker = BreakerSettings(
            consecutive_5xx=wanted.max_failures,
            base_ejection_time_s=wanted.first_wait_s,
            max_ejection_time_s=wanted.longest_wait_s,
        )
        foundation.prometheus.emit(BreakerAppeared(name))
        made = gates[name] = Circuit(name, breaker, foundation.clock, foundation.prometheus)
        return made

    try:
        levels = settings.open_levels(LevelParts(gate, foundation.clock, foundation.prometheus))
    except LevelError as error:
        raise StartError(str(error)) from None
    for level in levels[1:]:
        lifetimes.push_async_callback(level.aclose)
    cache = CacheParts(settings, levels, instruction_set, gates=gates)
    lifetimes.push_async_callback(cache.close_flights)
    return cache
