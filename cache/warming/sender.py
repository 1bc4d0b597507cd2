"""Offers what is hot here to neighbouring regions, and sends them what they want of it.

An answer leaves only to a region in which both its residency class and the request that it answered may be
seen, by the policy in force at that moment; others are not offered. Only answers with a bound on their risk
leave.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Protocol

import msgspec

from cache.key import KEY_VERSION
from cache.levels.envelope import Envelope, GarbageError, TooLargeError
from cache.levels.level import Entry
from cache.levels.stamps import Stamps
from cache.warming.messages import MOST_BYTES, MOST_KEYS, OFFER, VALUES, Offer, Offered, Values, WantedKeys
from cache.warming.residency import RegionsOf, may_be_in
from cache.warming.settings import WarmingSettings
from gateway.core.cache_events import CacheWarmed
from gateway.core.clock import Clock
from gateway.core.errors import printable
from gateway.core.telemetry import Telemetry

LEAST_S: Final = 5.0
"""An answer that is fresh for less is not offered."""
_LONGEST_WAIT_S: Final = 60.0
_STEP: Final = 16

_log: Final = logging.getLogger("edgeway.warming")


class WarmingError(Exception):
    """A neighbour has not answered, or not as a gateway does. Says why, for the log."""


Exchange = Callable[[str, str, bytes], Awaitable[bytes]]
"""Sends a message to a region (the region, what the message is, its body) and returns the body of its answer;
raises WarmingError."""


class RankedLevel(Protocol):
    """A level that knows which of its answers are hot."""

    async def hottest(self, percent: float) -> list[bytes]:
        """Return the keys of ``percent`` of the entries, the hottest first."""
        ...

    def stored(self, key: bytes) -> Entry | None:
        """Return what is held under ``key``; that is no hit."""
        ...


class WarmingSender:
    """Offers the answers of ``level`` to the regions in ``settings.to``."""

    def __init__(
        self,
        settings: WarmingSettings,
        level: RankedLevel,
        exchange: Exchange,
        *,
        envelope: Envelope,
        instruction_set: str,
        regions_of: RegionsOf,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._settings, self._level, self._exchange = settings, level, exchange
        self._envelope, self._stamps = envelope, Stamps(clock)
        self._instruction_set, self._regions_of = instruction_set, regions_of
        self._clock, self._emit = clock, telemetry.emit
        self._problems: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<WarmingSender to {', '.join(sorted(self._settings.to))}, problems {self._problems}>"

    async def run(self) -> None:
        """Offer, round after round, to all neighbours beside one another."""
        await asyncio.gather(*map(self._rounds, self._settings.to))

    async def _rounds(self, region: str) -> None:
        while True:
            started = self._clock.now()
            await self.round(region)
            await self._clock.sleep(max(0.0, started + self._settings.every_s - self._clock.now()))

    async def round(self, region: str) -> None:
        """Offer everything that is hot to ``region``, once; one that fails gets the rest another time."""
        try:
            async for batch in self._batches(region):
                if not await self._offer(region, batch):
                    return
        except WarmingError as error:
            self._emit(CacheWarmed(region, "failed", keys=0))
            self._say(region, str(error))
        else:
            self._problems.pop(region, None)

    async def _batches(self, region: str) -> AsyncIterator[Sequence[Offered]]:
        """Yield what may be offered, so much at once as one message takes."""
        batch: list[Offered] = []
        size = 0
        for number, key in enumerate(await self._level.hottest(self._settings.percent), 1):
            if not number % (4 * MOST_KEYS):
                await asyncio.sleep(0)
            entry = self._may_leave(key, region)
            if entry is None:
                continue
            if batch and (len(batch) == MOST_KEYS or size + entry.size > MOST_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(Offered(key, entry.residency, entry.size, self._stamps.outward(entry).soft_expiry))
            size += entry.size
        if batch:
            yield batch

    def _may_leave(self, key: bytes, region: str) -> Entry | None:
        """Return what is held under ``key``, where that may go to ``region`` and is of use there."""
        entry = self._level.stored(key)
        if entry is None or entry.soft_expiry <= self._clock.steady() + LEAST_S:
            return None
        provenance = entry.response.provenance
        if not provenance.certified or provenance.stale or provenance.features:
            return None
        if region not in entry.regions or not may_be_in(region, entry.residency, self._regions_of()):
            self._emit(CacheWarmed(region, "residency"))
            return None
        return entry

    async def _offer(self, region: str, batch: Sequence[Offered]) -> bool:
        """Offer a batch, send what is wanted of it, and wait as rates have it; False: nothing ever is."""
        offer = Offer(KEY_VERSION, self._instruction_set, tuple(batch))
        answer = await self._exchange(region, OFFER, msgspec.msgpack.encode(offer))
        try:
            wanted = msgspec.msgpack.decode(answer, type=WantedKeys)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise WarmingError(f"it answers an offer with something else: {error}") from None
        self._emit(CacheWarmed(region, "offered", keys=len(batch)))
        if wanted.why:
            self._say(region, printable(wanted.why, 200))
            return False
        keys = [batch[place].key for place in sorted(set(wanted.places)) if 0 <= place < len(batch)]
        size = await self._send(region, keys) if keys else 0
        settings = self._settings
        waits = (wanted.wait_s, len(batch) / settings.max_keys_per_s, size / settings.max_bytes_per_s)
        await self._clock.sleep(min(max(waits), _LONGEST_WAIT_S))
        return True

    async def _send(self, region: str, keys: Sequence[bytes]) -> int:
        """Send the answers under ``keys``, as they are now, and return their bytes."""
        sealed = []
        for number, key in enumerate(keys, 1):
            # The policy, and the answer, may be others by now.
            entry = self._may_leave(key, region)
            if entry is not None:
                try:
                    sealed.append((key, self._envelope.seal(key, self._stamps.outward(entry))))
                except (GarbageError, TooLargeError):
                    self._emit(CacheWarmed(region, "unfit"))
            if not number % _STEP:
                await asyncio.sleep(0)
        size = sum([len(value) for _, value in sealed])
        await self._exchange(region, VALUES, msgspec.msgpack.encode(Values(tuple(sealed))))
        self._emit(CacheWarmed(region, "sent", keys=len(sealed), bytes=size))
        return size

    def _say(self, region: str, problem: str) -> None:
        """Log a problem with a neighbour, once for as long as it is the same."""
        if self._problems.get(region) != problem:
            self._problems[region] = problem
            _log.warning("the neighbour %s gets no hot answers of this region: %s", region, problem)
