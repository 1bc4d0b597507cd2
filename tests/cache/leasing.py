"""A level that grants leases, in this process: several caches before one of these are so many processes.

Example::

    shared = LeasingDict()
    first, second = (cache_of(far=[shared], leased=True) for _ in range(2))
"""

from __future__ import annotations

import asyncio

from cache.leases import Bid, LeasingLevel
from cache.levels.level import Entry
from tests.cache.build import DictLevel

ABANDONED = b"-"


class LeasingDict(DictLevel):
    """``leases``: who has which, and until when of the loop's time. ``bids``: how many there were.

    ``is_down``: it grants nothing. ``lie_ms``: what it says of every lease.
    """

    def __init__(self) -> None:
        super().__init__()
        self.leases: dict[bytes, tuple[bytes, float]] = {}
        self.bids: list[int] = []
        self.refused = 0
        self.is_down = False
        self.lie_ms: int | None = None

    async def bid(self, key: bytes, token: bytes, lease_ms: int) -> Bid | None:
        now = asyncio.get_running_loop().time()
        self.bids.append(lease_ms)
        await asyncio.sleep(0)
        if self.is_down:
            return None
        if self.lie_ms is not None:
            return Bid(self.lie_ms, None)
        holder, until = self.leases.get(key, (b"", 0.0))
        left_ms = -1 if holder == ABANDONED else max(1, round((until - now) * 1000))
        if until <= now:
            self.leases[key] = (token, now + lease_ms / 1000)
            left_ms = 0
        return Bid(left_ms, self.held.get(key))

    async def fill(self, key: bytes, entry: Entry, token: bytes) -> bool:
        if not self._is_holder(key, token):
            self.refused += 1
        else:
            await self.put(key, entry)
            del self.leases[key]
        return True

    async def release(self, key: bytes, token: bytes, *, is_abandoned: bool) -> None:
        if not self._is_holder(key, token):
            return
        del self.leases[key]
        if is_abandoned:
            self.leases[key] = (ABANDONED, asyncio.get_running_loop().time() + 1.0)

    def _is_holder(self, key: bytes, token: bytes) -> bool:
        holder, until = self.leases.get(key, (b"", 0.0))
        return holder == token and asyncio.get_running_loop().time() < until


_: type[LeasingLevel] = LeasingDict
