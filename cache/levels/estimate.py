"""What hit ratio a level of half, the same and twice the bytes would have, from a sample of the keys.

Spatial sampling (Waldspurger, Park, Garthwaite, Ahmad: Efficient MRC Construction with SHARDS, FAST 2015;
for policies other than LRU by scaled-down simulation, USENIX ATC 2017): keys are in the sample by their
hash, so a key is in it with all of its look-ups or with none, and a cache of a share of the bytes that sees
the same share of the keys has about the hit ratio of the whole one. Three such caches of S3-FIFO hold names
and sizes.

The sample may hold more or fewer of the hottest keys than its share, which moves all three ratios:
compare ``half`` and ``double`` with ``same``, not with what was measured.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Final

from cache.simulation.s3fifo import S3FifoCache

FACTORS: Final = {"half": 0.5, "same": 1.0, "double": 2.0}
LEAST_LOOKUPS: Final = 200
"""In the sample, before a ratio is told."""
LONGEST_MEMORY: Final = 20_000
"""Look-ups of the sample after which those before count half."""


class Estimate:
    """Caches of ``share`` of ``max_bytes``, and multiples of it, that see every look-up of the sample."""

    def __init__(self, max_bytes: int, share: float) -> None:
        self._max_bytes, self._share = max_bytes, share
        self.clear()

    def __repr__(self) -> str:
        ratios = ", ".join(f"{size} {ratio:.3f}" for size, ratio in self.ratios().items())
        return f"<Estimate {ratios or 'nothing yet'}>"

    def clear(self) -> None:
        """Forget everything."""
        self._caches = {
            size: S3FifoCache(int(self._max_bytes * self._share * factor)) for size, factor in FACTORS.items()
        }
        self._hits = dict.fromkeys(FACTORS, 0.0)
        self._lookups = 0.0
        self.bytes = 0
        """What all of it takes in memory."""

    def looked_up(self, key: Hashable) -> None:
        """Take note of a look-up, whatever the level had."""
        for size, cache in self._caches.items():
            self._hits[size] += cache.get(key)
        self._lookups += 1
        if self._lookups >= LONGEST_MEMORY:
            self._lookups /= 2
            self._hits = {size: hits / 2 for size, hits in self._hits.items()}

    def put(self, key: Hashable, size: int) -> None:
        """Take note of what the level was given. How long it is of use makes no difference here."""
        for cache in self._caches.values():
            cache.put(key, size)
        self.bytes = sum(cache.own_bytes for cache in self._caches.values())

    def ratios(self) -> Mapping[str, float]:
        """Return the hit ratio of each size; none before there were enough look-ups."""
        if self._lookups < LEAST_LOOKUPS:
            return {}
        return {size: hits / self._lookups for size, hits in self._hits.items()}
