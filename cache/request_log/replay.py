"""What caches of several sizes and policies would have made of a recorded stream of look-ups.

Every cache sees every look-up and is given what it misses at once. Names and sizes are held, no values, and
as many as the cache would hold, so a log of any length takes the memory of the largest cache's names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from blake3 import blake3
from msgspec import Struct

from cache.eviction.s3fifo import SMALL_SHARE
from cache.levels.level import ENTRY_BYTES
from cache.request_log.lines import HIT, LoggedLookup
from cache.simulation.lru import LruCache
from cache.simulation.policy import SimulatedCache
from cache.simulation.s3fifo import S3FifoCache
from cache.simulation.sieve import SieveCache

POLICIES: Final[dict[str, Callable[[int], SimulatedCache]]] = {
    "s3fifo": S3FifoCache,
    "lru": LruCache,
    "sieve": SieveCache,
}
_SCALE: Final = 1 << 64


class SimulatedRatio(Struct, frozen=True):
    """The hit ratio that one policy has in one size."""

    policy: str
    max_bytes: int
    hit_ratio: float


class _Run(Struct):
    policy: str
    max_bytes: int
    cache: SimulatedCache
    hits: int = 0


class Replay:
    """Runs of ``policies`` in each of ``sizes`` bytes. ``share``: of the log's keys that are replayed.

    A log that has a share of all keys (``LoggedLookup.sample``) is replayed in that share of the bytes.
    """

    def __init__(self, sizes: Sequence[int], policies: Sequence[str], share: float = 1.0) -> None:
        self._sizes, self._policies = sizes, policies
        self._share = share
        self._runs: list[_Run] = []
        self._least, self._scale = min(sizes), share
        self.sample = 0.0
        """The share of all keys that the log has; 0 before its first line."""
        self.lookups = 0
        self.not_kept = 0
        """Look-ups whose answers no cache may keep."""
        self.recorded_hits = 0
        """Look-ups that were hits when they were recorded."""
        self.refused = 0
        """Look-ups of answers that the smallest cache takes in full, and not in its share of the bytes."""

    def __repr__(self) -> str:
        return f"<Replay of {self.lookups} look-ups in {len(self._runs)} caches>"

    def add(self, lookup: LoggedLookup) -> str:
        """Replay one look-up; return why it cannot be, if it cannot."""
        if lookup.sample != self.sample:
            if self.sample:
                return f"`sample` is {lookup.sample:g}, and {self.sample:g} in the lines before"
            self._begin(lookup.sample)
        if self._share < 1 and not is_sampled(lookup.key, self._share):
            return ""
        self.lookups += 1
        self.recorded_hits += lookup.outcome == HIT
        key, now = hash(lookup.key), lookup.time
        size = max(lookup.size, ENTRY_BYTES)
        expiry = now + lookup.ttl_s if lookup.ttl_s else math.inf
        self.not_kept += not lookup.size
        self.refused += self._scale * self._least < size / SMALL_SHARE <= self._least
        for run in self._runs:
            if run.cache.get(key, now):
                run.hits += 1
            elif lookup.size:
                run.cache.put(key, size, expiry)
        return ""

    def outcomes(self) -> list[SimulatedRatio]:
        """Return what came out, by size and policy, in the order given; nothing before the first look-up."""
        if not self.lookups:
            return []
        return [SimulatedRatio(run.policy, run.max_bytes, run.hits / self.lookups) for run in self._runs]

    def _begin(self, sample: float) -> None:
        self.sample = sample
        scale = self._scale = sample * self._share
        self._runs = [
            _Run(policy, size, POLICIES[policy](int(size * scale)))
            for size in self._sizes
            for policy in self._policies
        ]


def is_sampled(key: str, share: float) -> bool:
    """Whether ``key`` is among a ``share`` of all keys; the same ones in every run."""
    return int.from_bytes(blake3(key.encode("utf-8", "surrogatepass")).digest(8), "big") < share * _SCALE
