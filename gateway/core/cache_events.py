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


class CacheLogLinesLost(msgspec.Struct, frozen=True):
    """So many look-ups are not in the request log: they came too fast, or the file cannot be written."""

    lines: int


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


class CacheLeased(msgspec.Struct, frozen=True):
    """What became of a lease: the right to compute an answer that other processes wait for.

    ``outcome``: won (it is computed here), lost (another process computes it), joined (its answer has come),
    taken_over (it ended without an answer, and we are next), abandoned (whoever had it has nothing to share),
    vain (nothing came in time; it is computed here as well), skipped (leases could not be had), or late (an
    answer came after its lease had ended, and was not written).
    """

    level: str
    outcome: str


class CacheVerified(msgspec.Struct, frozen=True):
    """A popular answer of the edge was due for being compared with central's.

    ``result``: agreed, differed, failed (central did not answer), or skipped (it is unwell, or there is no
    room within the rate or the retry budget).
    """

    route: str
    result: str


class CacheWarmed(msgspec.Struct, frozen=True):
    """What became of keys that were offered to the region ``neighbour``, or by it, and of their answers.

    ``outcome``: offered, sent, unfit (it cannot be sealed), or failed (no answer, or none that is signed); of
    what a neighbour offers: wanted, kept, held (as good a one is here), residency (it may not be seen in the
    other region), stale, full (no room), garbage, or stranger (not signed by a gateway: then the neighbour
    has no name). ``bytes``: of the answers; 0 where it is about keys alone.
    """

    neighbour: str
    outcome: str
    keys: int = 1
    bytes: int = 0


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


class FeaturesComputed(msgspec.Struct, frozen=True):
    """The backbone of a model in two files ran ``run_s`` for ``rows`` rows whose features nobody held."""

    model: str
    rows: int
    run_s: float


CacheEvent = (
    CacheLookedUp
    | CacheWriteLost
    | CacheConnectionClosed
    | CacheLogLinesLost
    | FlightShared
    | InvalidationRead
    | InvalidationLogRead
    | CacheLeased
    | CacheVerified
    | CacheWarmed
    | FeaturesComputed
    | CacheSealRejected
    | CacheWriteHeldBack
    | FlightShared
)
