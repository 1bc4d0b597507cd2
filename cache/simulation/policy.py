"""A cache that holds names and sizes only, to see what an eviction policy makes of a stream of look-ups."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Protocol


class SimulatedCache(Protocol):
    """One policy, bounded by bytes. What is larger than a tenth of them is refused, as the level does."""

    def get(self, key: Hashable, now: float = 0.0) -> bool:
        """Look up; whether there is a value that is fresh at ``now``."""
        ...

    def put(self, key: Hashable, size: int, expiry: float = math.inf) -> None:
        """Hold a value of ``size`` bytes until ``expiry``, and evict what is then too much."""
        ...

    @property
    def taken_bytes(self) -> int:
        """Bytes that are held, never more than the cache may have after a ``put``."""
        ...
