"""Case `cache`: hit ratios of L1's policy against others in the same bytes, and what a hit costs."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from cache.levels.level import Entry
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.simulation.lru import LruCache
from cache.simulation.policy import SimulatedCache
from cache.simulation.s3fifo import S3FifoCache
from cache.simulation.sieve import SieveCache
from gateway.core.request import Provenance, Response
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from loadtests.bench import filters, needs
from loadtests.bench.families import Family, families
from loadtests.bench.results import Result, Row, Target
from loadtests.bench.rounds import Bench, cores
from loadtests.peers.cache_libraries import WHEELS, CacheLibrary

OURS: Final = "s3fifo"
POLICIES: Final[Mapping[str, Callable[[int], SimulatedCache]]] = {
    OURS: S3FifoCache,
    "lru": LruCache,
    "sieve": SieveCache,
}
REGRET: Final = Target(2.0, at_least=False)
GETS: Final = Target(1e6)
WHOLE: Final = Target(15.0, at_least=False)
HELD: Final = 1_000
TURNS: Final = 200

Ratios = Mapping[str, Mapping[str, float]]
"""Family → who → hit ratio."""


def measure(bench: Bench) -> Result:
    """Compare on one trace of each family in every round, then time hits pinned to one core."""
    peers = [needs.peer(name, partial(CacheLibrary.install, name, bench.peers / name)) for name in WHEELS]
    rounds = [compare(bench, peers, seed) for seed in range(1, bench.effort.rounds + 1)]
    worst = [max(regrets(ratios).values()) for ratios in rounds]
    first = regrets(rounds[0])
    where = max(first, key=lambda family: first[family])
    regret = Row.alone(
        "worst regret of L1's policy: points below the best of LRU, SIEVE, moka-py, theine",
        "points",
        REGRET,
        worst,
        f"in the same bytes, worst on {where}; theine on equal sizes only",
    )
    gets = Row.alone("gets of held keys from L1, one thread", "1/s", GETS, _gets(bench.effort.rounds))
    whole = filters.measure(bench).rows[0]
    return Result(rows=(regret, gets, replace(whole, target=WHOLE)), details={"hit_ratios": rounds[0]})


def compare(bench: Bench, peers: Sequence[CacheLibrary], seed: int) -> Ratios:
    """Return the hit ratio of everybody on one trace of each family."""
    traces = families(seed)
    file = bench.folder / "traces.json"
    file.write_text(json.dumps({name: _plain(family) for name, family in traces.items()}))
    theirs = {peer.name: peer.ratios(file) for peer in peers}
    return {
        name: {policy: replay(make(family.max_bytes), family) for policy, make in POLICIES.items()}
        | {peer: ratio for peer, found in theirs.items() if (ratio := found[name]) is not None}
        for name, family in traces.items()
    }


def replay(cache: SimulatedCache, family: Family) -> float:
    """Return the hit ratio of a cache that is given what it misses."""
    hits = 0
    for key in family.keys:
        if cache.get(key):
            hits += 1
        else:
            cache.put(key, family.size(key))
    return hits / len(family.keys)


def regrets(ratios: Ratios) -> dict[str, float]:
    """Return how many points the best of a family is above ours; below 0: ours is the best."""
    return {
        family: 100 * (max(ratio for who, ratio in found.items() if who != OURS) - found[OURS])
        for family, found in ratios.items()
    }


def _plain(family: Family) -> dict[str, Any]:
    sizes = [family.size(key) for key in family.keys]
    return {"keys": family.keys, "sizes": sizes, "max_bytes": family.max_bytes}


def _gets(rounds: int) -> list[float]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        level, keys = asyncio.run(_filled())
        _timed(level, keys)
        return [_timed(level, keys) for _ in range(rounds)]
    finally:
        os.sched_setaffinity(0, before)


async def _filled() -> tuple[MemoryLevel, list[bytes]]:
    level = MemoryLevel(MemorySettings(), Silence())
    output = Tensor("y", "FP32", (1, 10), bytes(40))
    entry = Entry.of(
        Response("m", "1", (output,), Provenance("edge")), soft_expiry=1e9, hard_expiry=1e9, compute_s=0.0
    )
    # As hashes are: one key in 85 is in the sample of the estimate.
    keys = [bytes([nth % 256, nth // 256]) + bytes(30) for nth in range(HELD)]
    for key in keys:
        await level.put(key, entry)
    return level, keys


def _timed(level: MemoryLevel, keys: Sequence[bytes]) -> float:
    peek, began = level.peek, time.perf_counter()
    for _ in range(TURNS):
        for key in keys:
            if peek(key) is None:
                raise RuntimeError("a key is not held")
    return TURNS * len(keys) / (time.perf_counter() - began)
