"""A store that plays a script, for time and failures that a real one cannot be made to have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from cache.features.stores.store import Outcome
from cache.features.vectors import StoreError


class FakeStore:
    """Holds ``vectors``; ``failure``: what the next round trips end in; ``held``: they wait until it is set."""

    def __init__(self, vectors: Mapping[bytes, Outcome]) -> None:
        self.vectors = dict(vectors)
        self.trips: list[list[bytes]] = []
        self.failure: StoreError | None = None
        self.held: asyncio.Event | None = None
        self.listings = 0

    async def fetch(self, names: Sequence[bytes]) -> Sequence[Outcome]:
        self.trips.append(list(names))
        if self.held is not None:
            await self.held.wait()
        if self.failure is not None:
            raise self.failure
        return [self.vectors.get(name) for name in names]

    async def known_ids(self) -> AsyncIterator[Sequence[bytes]]:
        self.listings += 1
        names = list(self.vectors)
        for begin in range(0, len(names), 1000):
            yield names[begin : begin + 1000]
        if self.failure is not None:
            raise self.failure

    async def aclose(self) -> None: ...
