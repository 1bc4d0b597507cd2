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


class InvalidationRead(msgspec.Struct, frozen=True):
    """Keys have changed, because of the log of ``region``; empty: an order to this gateway alone.

    ``kind``: what was invalidated (``all``, ``model``, ``tenant``, ``tag``, joined by +); or why everything
    is kept apart that the log might have named: ``start`` (not read yet), ``cut`` (out of reach for too
    long), or ``lost`` (the log has begun anew).
    """

    region: str
    kind: str


class InvalidationLogRead(msgspec.Struct, frozen=True):
    """A look into the log of ``region``: read, malformed, refused or unreachable.

    ``lag_s``: how long ago the oldest invalidation was written that has just been read; of a log that cannot
    be read, for how long that has been so.
    """

    region: str
    outcome: str
    lag_s: float


CacheEvent = (
    CacheLookedUp
    | CacheWriteLost
    | CacheConnectionClosed
    | FlightShared
    | InvalidationRead
    | InvalidationLogRead
)
