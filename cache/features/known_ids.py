"""Which entities a store has, as a pair of Bloom filters: what neither has is absent for certain.

A filter of the entities that were found to be *absent* would be wrong the other way: its false positives
would be entities that are there and are taken to be absent. So the store lists all that it has. Each listing
fills a filter of its own; when it is complete it becomes the current one, and the one that was, the previous.
An entity is absent if neither has it, so one that a listing has missed is only missing after two of them.
Both together take less than 1 % of the absent entities for present ones, and those cost a round trip.

A listing of more ids than the filter was made for is done anew with a larger one: a filter that is too full
says yes to everything. While there is no listing, or none of late, no entity is known to be absent.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from cache.bloom import RotatingBloom
from cache.features.settings import KnownIdsSettings
from cache.features.stores.store import Store
from cache.features.vectors import StoreError
from gateway.core.clock import Clock
from gateway.core.feature_events import KnownIdsListed
from gateway.core.telemetry import Telemetry

LEAST_CAPACITY: Final = 10_000
ROOM: Final = 1.25
"""Times the ids of the last listing: the capacity of the next."""
LISTINGS_MISSED: Final = 3
"""So many intervals without a listing, and nothing is known."""
_AT_ONCE: Final = 2000
"""Ids that are added in one turn of the event loop: about 3 ms."""

_log = logging.getLogger("edgeway.features")


class KnownIds:
    """The ids of one store, listed every ``refresh_s`` by ``run``. ``secret`` keys the filters' hashes."""

    def __init__(
        self,
        name: str,
        store: Store,
        settings: KnownIdsSettings,
        *,
        clock: Clock,
        telemetry: Telemetry,
        secret: bytes = b"",
    ) -> None:
        self._name, self._store, self._settings = name, store, settings
        self._clock, self._emit, self._secret = clock, telemetry.emit, secret
        self._current: RotatingBloom | None = None
        self._previous: RotatingBloom | None = None
        self._capacity = LEAST_CAPACITY
        self._holds_until_s = 0.0
        self._problem = ""

    def __repr__(self) -> str:
        current = self._current
        state = f"{len(current)} of {self._capacity}" if current is not None else "not listed yet"
        return f"<KnownIds {self._name}, {state}{self._problem and f', {self._problem}'}>"

    def is_absent(self, name: bytes) -> bool:
        """Whether the store is known not to have ``name``."""
        current, previous = self._current, self._previous
        if current is None or self._clock.steady() >= self._holds_until_s:
            return False
        return name not in current and (previous is None or name not in previous)

    async def run(self) -> None:
        """List the ids now and again, until cancelled."""
        while True:
            await self.refresh()
            await self._clock.sleep(self._settings.refresh_s)

    async def refresh(self) -> None:
        """List the ids once; where that fails, what is known stays."""
        began_s = self._clock.steady()
        try:
            # A store may go on for ever, or bring what is out of date when it ends.
            async with asyncio.timeout(LISTINGS_MISSED * self._settings.refresh_s):
                listed = await self._list()
        except TimeoutError:
            self._note("timeout")
            return
        except StoreError as error:
            self._note(error.reason)
            return
        if listed is None:
            # What is known grows older, and is worth nothing soon.
            self._note("too_many")
            return
        self._previous, self._current = self._current, listed
        self._problem = ""
        # From its beginning: what came to the store since then may be missing.
        self._holds_until_s = began_s + LISTINGS_MISSED * self._settings.refresh_s
        self._capacity = max(LEAST_CAPACITY, self._capacity_for(len(listed)))
        self._emit(KnownIdsListed(self._name, len(listed), listed.fill, listed.false_positives))

    async def _list(self) -> RotatingBloom | None:
        """Return a filter with all ids; None: there are more than may be."""
        while True:
            listing = RotatingBloom(self._capacity, now=_no_time, secret=self._secret)
            if await self._fill(listing):
                return listing
            if self._capacity >= self._settings.most:
                return None
            self._capacity = min(2 * self._capacity, self._settings.most)

    async def _fill(self, listing: RotatingBloom) -> bool:
        """Put all ids into ``listing``; return whether they fit."""
        async for names in self._store.known_ids():
            for begin in range(0, len(names), _AT_ONCE):
                for name in names[begin : begin + _AT_ONCE]:
                    listing.add(name)
                if listing.rotations:
                    return False
                await asyncio.sleep(0)
        return True

    def _capacity_for(self, count: int) -> int:
        return min(int(ROOM * count), self._settings.most)

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            _log.warning("features: the ids of store %s are not listed: %s", self._name, problem)
        self._problem = problem
        self._emit(KnownIdsListed(self._name, 0, error=problem))


def _no_time() -> float:
    """Return always the same: these filters are replaced, not aged."""
    return 0.0
