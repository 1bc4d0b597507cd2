"""The yardstick that everybody knows: the least recently used leaves."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable

from cache.eviction.s3fifo import SMALL_SHARE


class LruCache:
    """LRU in ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[Hashable, tuple[int, float]] = OrderedDict()
        self.taken_bytes = 0

    def __repr__(self) -> str:
        return f"<LruCache {self.taken_bytes} of {self._max_bytes} bytes, {len(self._held)} entries>"

    def get(self, key: Hashable, now: float = 0.0) -> bool:
        """Look up; whether there is a value that is fresh at ``now``."""
        found = self._held.get(key)
        if found is None:
            return False
        self._held.move_to_end(key)
        return now < found[1]

    def put(self, key: Hashable, size: int, expiry: float = math.inf) -> None:
        """Hold a value of ``size`` bytes until ``expiry``, and evict what is then too much."""
        before = self._held.pop(key, None)
        if before is not None:
            self.taken_bytes -= before[0]
        if size > self._max_bytes * SMALL_SHARE:
            return
        self._held[key] = size, expiry
        self.taken_bytes += size
        while self.taken_bytes > self._max_bytes:
            _, (left, _) = self._held.popitem(last=False)
            self.taken_bytes -= left
