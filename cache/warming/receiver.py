"""What becomes of a neighbour's offer: which of its keys are fetched, and what of the answers is held.

Nothing is believed but that a gateway with our secret has sent it. Whether an answer may be in this region is
decided by our own policy, when its key is offered and again when it comes; what an answer is worth is decided
when a request finds it (``cache.warming.level``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from cache.key import KEY_VERSION
from cache.levels.envelope import Envelope, GarbageError
from cache.levels.level import Entry, NearLevel
from cache.levels.stamps import Stamps
from cache.warming.level import WarmLevel
from cache.warming.messages import MOST_KEYS, Offer, Offered, Values, WantedKeys
from cache.warming.residency import RegionsOf, may_be_in
from gateway.core.cache_events import CacheWarmed
from gateway.core.clock import Clock
from gateway.core.telemetry import Telemetry

LEAST_S: Final = 2.0
"""An answer that is fresh for less is not worth the way."""
_KEY_BYTES: Final = 32
_MOST_WANTED: Final = 16 * MOST_KEYS
_OPENED_AT_ONCE: Final = 16
_LONGEST_WAIT_S: Final = 60.0


class WarmingReceiver:
    """Takes offers for ``region``.

    ``near``: L1, whose answers need no fetching. ``rate``: bytes fetched per second, from all neighbours.
    """

    def __init__(
        self,
        region: str,
        level: WarmLevel,
        near: NearLevel,
        *,
        envelope: Envelope,
        instruction_set: str,
        regions_of: RegionsOf,
        rate: float,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._region, self._level, self._near = region, level, near
        self._envelope, self._stamps = envelope, Stamps(clock)
        self._instruction_set, self._regions_of = instruction_set, regions_of
        self._rate, self._paid_until = rate, 0.0
        self._now, self._steady, self._emit = clock.now, clock.steady, telemetry.emit
        self._wanted: dict[bytes, str] = {}

    def __repr__(self) -> str:
        return f"<WarmingReceiver {self._region}, {len(self._wanted)} on their way, {self._level}>"

    def offered(self, neighbour: str, offer: Offer) -> WantedKeys:
        """Return which keys of an offer are wanted."""
        if offer.version != KEY_VERSION:
            return WantedKeys(why=f"keys here are of version {KEY_VERSION}, those are of {offer.version}")
        if offer.instruction_set != self._instruction_set:
            return WantedKeys(
                why=f"answers here are those of CPUs with '{self._instruction_set}', the others of "
                f"'{offer.instruction_set}'"
            )
        regions, places, size = self._regions_of(), [], 0
        for place, key in enumerate(offer.keys[:MOST_KEYS]):
            refused = self._why_not(key, may_be_in(self._region, key.residency, regions), size)
            self._emit(CacheWarmed(neighbour, refused or "wanted"))
            if not refused:
                places.append(place)
                size += key.size
                self._expect(key)
        return WantedKeys(tuple(places), self._charge(size))

    async def came(self, neighbour: str, values: Values) -> None:
        """Hold the answers that were wanted and may be here."""
        for number, (key, sealed) in enumerate(values.sealed[:MOST_KEYS], 1):
            outcome = self._keep(key, sealed)
            self._emit(CacheWarmed(neighbour, outcome, bytes=len(sealed)))
            if not number % _OPENED_AT_ONCE:
                await asyncio.sleep(0)

    def _why_not(self, offered: Offered, is_allowed: bool, planned: int) -> str:  # noqa: FBT001
        """Return why a key is not wanted, in one word; empty: it is."""
        if not is_allowed:
            return "residency"
        if len(offered.key) != _KEY_BYTES or offered.size <= 0:
            return "garbage"
        if not self._steady() + LEAST_S < offered.soft_expiry:
            return "stale"
        near = self._near.stored(offered.key)
        if near is not None and near.soft_expiry >= offered.soft_expiry - LEAST_S:
            return "held"
        if self._level.has(offered.key, offered.soft_expiry):
            return "held"
        return "" if self._level.make_room(planned + offered.size) else "full"

    def _expect(self, offered: Offered) -> None:
        self._wanted.pop(offered.key, None)
        self._wanted[offered.key] = offered.residency
        for key in self._too_many():
            del self._wanted[key]

    def _too_many(self) -> Iterator[bytes]:
        if len(self._wanted) > _MOST_WANTED:
            yield next(iter(self._wanted))

    def _charge(self, size: int) -> float:
        """Return the seconds after which so many bytes more are within the rate."""
        now = self._now()
        self._paid_until = max(self._paid_until, now) + size / self._rate
        return min(self._paid_until - now, _LONGEST_WAIT_S)

    def _keep(self, key: bytes, sealed: bytes) -> str:
        """Hold one answer, and return in one word what became of it."""
        residency = self._wanted.pop(key, None)
        if residency is None:
            return "garbage"
        if not may_be_in(self._region, residency, self._regions_of()):
            return "residency"
        try:
            entry: Entry = self._stamps.inward(self._envelope.open(key, sealed))
        except GarbageError:
            return "garbage"
        if entry.soft_expiry <= self._steady():
            return "stale"
        return "kept" if self._level.take(key, entry) else "full"
