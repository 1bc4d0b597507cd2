"""Five families of look-ups that caches are compared on: which key, in which order, of which size.

Zipf 0.9 is what popularity looks like; the others are it with what defeats a policy: keys that come once,
scans, a hot set that moves, and sizes that differ thirtyfold.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

KEYS: Final = 25_000
LOOKUPS: Final = 60_000
HELD: Final = 1_250
"""Answers that the cache has room for: a twentieth of the keys."""
SIZE: Final = 2_000
_MIXED_MEAN: Final = 9_000
_ONE_HIT: Final = 0.43
"""One-hit wonders to each other look-up: 30 % of all."""


@dataclass(frozen=True, slots=True)
class Family:
    """``keys`` in the order they are looked up; ``sizes``: those that are not ``SIZE``."""

    keys: tuple[int, ...]
    max_bytes: int = HELD * SIZE
    sizes: Mapping[int, int] | None = None

    def size(self, key: int) -> int:
        """Return the bytes of a key's answer."""
        return SIZE if self.sizes is None else self.sizes[key]


def families(seed: int) -> dict[str, Family]:
    """Return one trace of each family; other seeds give others."""
    chance = random.Random(seed)  # noqa: S311 - traces, not secrets
    weights = list(itertools.accumulate(1 / (rank + 1) ** 0.9 for rank in range(KEYS)))

    def zipf(count: int) -> list[int]:
        return chance.choices(range(KEYS), cum_weights=weights, k=count)

    once = itertools.count(10 * KEYS)
    wonders = [
        key for hot in zipf(LOOKUPS) for key in ((hot, next(once)) if chance.random() < _ONE_HIT else (hot,))
    ]
    scan = range(5 * KEYS, 5 * KEYS + 2 * HELD)
    scans = [key for _ in range(10) for key in (*zipf(LOOKUPS // 10), *scan)]
    drifting = [(rank + at // 1000 * 60) % KEYS for at, rank in enumerate(zipf(LOOKUPS))]
    sizes = {key: int(1000 * 10 ** chance.uniform(0, 1.5)) for key in range(KEYS)}
    return {
        "zipf": Family(tuple(zipf(LOOKUPS))),
        "one-hit wonders": Family(tuple(wonders)),
        "scans": Family(tuple(scans)),
        "drifting hot set": Family(tuple(drifting)),
        "mixed sizes": Family(tuple(zipf(LOOKUPS)), HELD * _MIXED_MEAN, sizes),
    }
