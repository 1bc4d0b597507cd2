"""What the caches report: events of ``gateway.core.telemetry``."""

from __future__ import annotations

import msgspec


class CacheLookedUp(msgspec.Struct, frozen=True):
    """A look-up in one level.

    ``outcome``: hit, early (a hit that also starts a refresh), revalidating (a stale answer was served while
    a refresh runs), negative (a kept error was), stale (expired, so an answer is computed), miss, garbage,
    error, or skipped (the breaker in front of the level was open).
    """

    level: str
    outcome: str


class CacheWriteLost(msgspec.Struct, frozen=True):
    """An answer was not kept. ``reason``: error, skipped (breaker open), backlog, unfit, or too_large."""

    level: str
    reason: str


class CacheConnectionClosed(msgspec.Struct, frozen=True):
    """A connection of a level was given up; ``reason`` is one word: protocol, timeout, reset, renewed, ..."""

    level: str
    reason: str


class FlightShared(msgspec.Struct, frozen=True):
    """A miss waited for an equal request already under way."""

    model: str


class FeaturesComputed(msgspec.Struct, frozen=True):
    """The backbone of a model in two files ran ``run_s`` for ``rows`` rows whose features nobody held."""

    model: str
    rows: int
    run_s: float


CacheEvent = CacheLookedUp | CacheWriteLost | CacheConnectionClosed | FlightShared | FeaturesComputed
