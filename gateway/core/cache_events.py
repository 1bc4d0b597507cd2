"""What the caches report: events of ``gateway.core.telemetry``."""

from __future__ import annotations

import msgspec


class CacheLookedUp(msgspec.Struct, frozen=True):
    """A look-up in one level.

    ``outcome``: hit, early (a hit that also starts a refresh), stale, miss, garbage, error, or skipped
    (the breaker in front of the level was open).
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


class CacheSealRejected(msgspec.Struct, frozen=True):
    """A value of a shared level was not believed.

    ``reason``: version (another build's), seal (not sealed here or not for this key, or altered), size (it
    would expand to more than may be), or body (not what it should be inside).
    """

    level: str
    reason: str


class CacheWriteHeldBack(msgspec.Struct, frozen=True):
    """An answer was not written to a shared level, for its key was seen for the first time."""

    level: str


class FlightShared(msgspec.Struct, frozen=True):
    """A miss waited for an equal request already under way."""

    model: str


CacheEvent = (
    CacheLookedUp
    | CacheWriteLost
    | CacheConnectionClosed
    | CacheSealRejected
    | CacheWriteHeldBack
    | FlightShared
)
