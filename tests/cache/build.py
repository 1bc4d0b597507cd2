"""Small builders that the tests of the cache share.

Example::

    held = entry(answer("edge"), fresh_s=10, now=clock.wall())
    serve = cache_of(telemetry, clock=clock).before(service)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from cache.early_refresh import EarlyRefreshes
from cache.fill import CacheFill
from cache.freshness import Freshness
from cache.key import RequestHasher, derive_secret
from cache.leases import Leases
from cache.levels.level import Entry, Level, Levels, NearLevel
from cache.levels.memory import MemoryLevel
from cache.lookup import CacheLookup
from cache.settings import CacheSettings
from cache.single_flight import SingleFlight
from gateway.core.cache_events import CacheLookedUp
from gateway.core.cache_levels import L2
from gateway.core.request import Response
from gateway.core.service import Filter, Service
from gateway.core.stack import Stack
from gateway.core.telemetry import Silence, Telemetry
from tests.fakes.service import answer
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry

SECRET = derive_secret(None, "test")


class StepClock:
    """The loop's time, and a clock that the test moves: ``clock.step(3600)``.

    ``clock.set_back(3600)``: the system's time of day is another, and no time has passed.
    """

    def __init__(self, wall: float = 1_700_000_000.0) -> None:
        self.wall_now = self.steady_now = wall

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self.wall_now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def steady(self) -> float:
        return self.steady_now

    def step(self, seconds: float) -> None:
        self.wall_now += seconds
        self.steady_now += seconds

    def set_back(self, seconds: float) -> None:
        self.wall_now -= seconds


class FixedChance:
    """Randomness that always draws the same: ``random()`` is ``draw``, ``uniform`` that share of the way."""

    def __init__(self, draw: float = 0.5) -> None:
        self.draw = draw

    def random(self) -> float:
        return self.draw

    def uniform(self, a: float, b: float) -> float:
        return a + (b - a) * self.draw


class DictLevel:
    """A far level that keeps everything, for tests of its reader. ``held`` is what it has."""

    def __init__(self, name: str = L2, *, is_shared: bool = True) -> None:
        self.name, self.is_shared = name, is_shared
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
    """An entry that is fresh for ``fresh_s`` after steady time ``now`` and of use ``stale_s`` longer."""
    soft = now + fresh_s
    return Entry.of(response or answer(), soft_expiry=soft, hard_expiry=soft + stale_s, compute_s=compute_s)


def hasher(identity: str = "sha256:a", **changes: Any) -> RequestHasher:
    """A hasher of one model."""
    return RequestHasher(**{"secret": SECRET, "identity": identity, "instruction_set": "avx2", **changes})


@dataclass(frozen=True)
class CacheFilters:
    """The three filters that make a cache; ``serve`` is what they and a service make."""

    lookup: CacheLookup
    flight: SingleFlight
    fill: CacheFill
    refreshes: EarlyRefreshes

    def filters(self) -> tuple[Filter, ...]:
        return self.lookup, self.flight, self.fill

    def before(self, service: Service) -> Stack:
        return stack(*self.filters(), service=service)

    async def aclose(self) -> None:
        await self.refreshes.aclose()
        await self.flight.aclose()


def cache_of(
    telemetry: Telemetry | None = None,
    *,
    clock: StepClock | None = None,
    far: Sequence[Level] = (),
    memory: MemoryLevel | None = None,
    near: NearLevel | None = None,
    draw: float | None = 0.5,
    digests: frozenset[str] = frozenset(),
    forbidden: Container[str] = (),
    leases: Leases | None = None,
    **settings: Any,
) -> CacheFilters:
    """A cache with a memory level of its own and ``far`` ones; ``draw`` None draws from a seeded generator."""
    telemetry, clock = telemetry or Silence(), clock or StepClock()
    chosen = CacheSettings(**settings)
    freshness = Freshness(chosen, random.Random(7) if draw is None else FixedChance(draw), digests)
    levels: Levels = (near or memory or MemoryLevel(chosen.memory, telemetry), *far)
    refreshes = EarlyRefreshes(clock, most=chosen.max_refreshes)
    lookup = CacheLookup(
        levels[0],
        hasher=hasher(),
        freshness=freshness,
        refreshes=refreshes,
        forbids=lambda model: model in forbidden,
        clock=clock,
        telemetry=telemetry,
    )
    fill = CacheFill(
        levels,
        freshness=freshness,
        refreshes=refreshes,
        accepts=lambda _request, _response: True,
        keeps=lambda asked, _response: asked.model not in forbidden,
        leases=leases,
        clock=clock,
        telemetry=telemetry,
    )
    return CacheFilters(lookup, SingleFlight(clock, telemetry), fill, refreshes)


def looked_up(telemetry: RecordingTelemetry) -> list[str]:
    """The look-ups heard so far, as ``l1 miss``."""
    return [f"{event.level} {event.outcome}" for event in telemetry.of(CacheLookedUp)]
