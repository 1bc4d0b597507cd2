"""Assembly of the cache of one edge gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from cache.invalidation.invalidations import Invalidations
from cache.levels.level import LevelError, LevelParts
from cache.negative import NegativeAnswers
from cache.request_log.recording import RequestLog
from gateway.app.errors import StartError
from gateway.app.foundation import Foundation
from gateway.app.parts import CacheParts
from gateway.core.gate import Gate, GateSettings
from gateway.core.telemetry import BreakerAppeared
from resilience.circuit import Circuit
from resilience.settings import BreakerSettings


def make_invalidations(foundation: Foundation) -> Invalidations | None:
    """Return what is invalidated; None where nothing is kept. It reads nothing before it is started.

    Raises:
        StartError: says which setting cannot be used.
    """
    settings = foundation.settings
    if settings.cache is None:
        return None
    try:
        return Invalidations(
            settings.region,
            settings.invalidation,
            clock=foundation.clock,
            chance=foundation.parts.chance,
            telemetry=foundation.prometheus,
        )
    except LevelError as error:
        raise StartError(str(error)) from None


def _request_log(foundation: Foundation, lifetimes: AsyncExitStack) -> RequestLog | None:
    cache = foundation.settings.cache
    if cache is None or cache.request_log is None:
        return None
    log = RequestLog(
        cache.request_log, cache.key_secret, clock=foundation.clock, telemetry=foundation.prometheus
    )
    try:
        log.start()
    except OSError as error:
        file, reason = cache.request_log.file, error.strerror or str(error)
        raise StartError(f"cache.request_log.file: {file} cannot be written: {reason}") from None
    lifetimes.push_async_callback(asyncio.to_thread, log.close)
    return log


async def start_invalidations(invalidations: Invalidations | None, lifetimes: AsyncExitStack) -> None:
    """Begin to read the logs of all regions, before anything is kept; None: nothing ever is."""
    if invalidations is not None:
        lifetimes.push_async_callback(invalidations.aclose)
        await invalidations.start()


def open_cache(
    foundation: Foundation,
    instruction_set: str,
    lifetimes: AsyncExitStack,
    invalidations: Invalidations | None = None,
) -> CacheParts | None:
    """Return the cache; None where the settings have none.

    Raises:
        StartError: says which setting cannot be used.
    """
    settings = foundation.settings.cache
    if settings is None:
        return None

    gates: dict[str, Circuit] = {}
    try:
        levels = settings.open_levels(
            LevelParts(gate_of(foundation, gates), foundation.clock, foundation.prometheus)
        )
    except LevelError as error:
        raise StartError(str(error)) from None
    for level in levels[1:]:
        lifetimes.push_async_callback(level.aclose)
    cache = CacheParts(
        settings,
        levels,
        instruction_set,
        gates=gates,
        verdicts=NegativeAnswers(settings.negative_max_bytes),
        invalidations=invalidations,
        request_log=_request_log(foundation, lifetimes),
    )
    lifetimes.push_async_callback(cache.close_flights)
    return cache


def gate_of(foundation: Foundation, gates: dict[str, Circuit]) -> Callable[[str, GateSettings], Gate]:
    """Return what makes the gate in front of the place of a level, and puts it into ``gates``.

    It is a breaker, which metrics show.
    """

    def gate(name: str, wanted: GateSettings) -> Gate:
        made = gates[name] = make_circuit(foundation, name, wanted)
        return made

    return gate


def make_circuit(foundation: Foundation, name: str, wanted: GateSettings) -> Circuit:
    """Return the gate in front of the place ``name``, whose state the metrics show."""
    breaker = BreakerSettings(
        consecutive_5xx=wanted.max_failures,
        base_ejection_time_s=wanted.first_wait_s,
        max_ejection_time_s=wanted.longest_wait_s,
    )
    foundation.prometheus.emit(BreakerAppeared(name))
    return Circuit(name, breaker, foundation.clock, foundation.prometheus)
