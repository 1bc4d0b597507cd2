"""Small builders that the tests of the cache share.

Example::

    held = entry(answer("edge"), fresh_s=10, now=clock.wall())
    cache, levels = cache_of(telemetry, clock=clock)
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from cache.filter import Cache
from cache.freshness import Freshness
from cache.key import RequestHasher, derive_secret
from cache.levels.level import Entry, Level
from cache.levels.memory import MemoryLevel
from cache.settings import CacheSettings
from cache.single_flight import SingleFlight
from gateway.core.request import Response
from gateway.core.telemetry import CacheLookedUp, Silence, Telemetry
from tests.fakes.service import answer
from tests.fakes.telemetry import RecordingTelemetry

SECRET = derive_secret(None, "test")


class StepClock:
    """The loop's time, and a wall clock that the test moves: ``clock.step(3600)``."""

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.wall_now = wall

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.wall_now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def step(self, seconds: float) -> None:
        self.wall_now += seconds


class FixedChance:
    """Randomness that always draws the same: ``random()`` is ``draw``, ``uniform`` that share of the way."""

    def __init__(self, draw: float = 0.5) -> None:
        self.draw = draw

    def random(self) -> float:
        return self.draw

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.draw


class DictLevel:
    """A remote level that keeps everything, for tests of its reader. ``held`` is what it has."""

    name = "l2"

    def __init__(self) -> None:
        self.held: dict[bytes, Entry] = {}
        self.reads = 0

    async def get(self, key: bytes) -> Entry | None:
        self.reads += 1
        await asyncio.sleep(0)
        return self.held.get(key)

    async def put(self, key: bytes, entry: Entry) -> None:
        self.held[key] = entry.at(self.name)

    async def delete(self, key: bytes) -> None:
        self.held.pop(key, None)

    async def aclose(self) -> None:
        self.held.clear()


_: type[Level] = DictLevel


def entry(
    response: Response | None = None,
    *,
    now: float = 1_700_000_000.0,
    fresh_s: float = 60.0,
    stale_s: float = 60.0,
    compute_s: float = 0.01,
) -> Entry:
    """An entry that is fresh for ``fresh_s`` after wall time ``now`` and of use ``stale_s`` longer."""
    soft = now + fresh_s
    return Entry.of(response or answer(), soft_expiry=soft, hard_expiry=soft + stale_s, compute_s=compute_s)


def hasher(identity: str = "sha256:a", **changes: Any) -> RequestHasher:
    """A hasher of one model."""
    return RequestHasher(SECRET, **{"identity": identity, "instruction_set": "avx2", **changes})


def cache_of(
    telemetry: Telemetry | None = None,
    *,
    clock: StepClock | None = None,
    remote: Level | None = None,
    memory: MemoryLevel | None = None,
    draw: float | None = 0.5,
    digests: frozenset[str] = frozenset(),
    **settings: Any,
) -> Cache:
    """A Cache with a memory level of its own; ``draw`` None draws from a seeded generator."""
    telemetry, clock = telemetry or Silence(), clock or StepClock()
    chosen = CacheSettings(**settings)
    chance = random.Random(7) if draw is None else FixedChance(draw)
    return Cache(
        memory or MemoryLevel(chosen.memory, telemetry),
        remote,
        hasher=hasher(),
        freshness=Freshness(chosen, chance, digests),
        flight=SingleFlight(clock, telemetry, max_refreshes=chosen.max_refreshes),
        clock=clock,
        telemetry=telemetry,
    )


def looked_up(telemetry: RecordingTelemetry) -> list[str]:
    """The look-ups heard so far, as ``l1 miss``."""
    return [f"{event.level} {event.outcome}" for event in telemetry.of(CacheLookedUp)]
