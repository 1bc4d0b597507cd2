"""The parts that stacks are made of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cache.early_refresh import EarlyRefreshes
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.settings import CacheSettings
from cache.warming.level import WarmLevel
from gateway.app.observe import Observed
from gateway.app.parts import CacheParts, Parts, longest_s, timeout_s
from gateway.config.policy_file import load_policy
from gateway.config.settings import Settings
from gateway.core.clock import LoopClock
from gateway.core.request import EDGE
from gateway.core.telemetry import Silence
from resilience.settings import AdmissionSettings, DeadlineSettings, ResilienceSettings
from tests.cache.build import entry
from tests.fakes.service import HANG, ScriptedService, request
from tests.fakes.virtual_time import virtual_time
from tests.gateway.policies import GOOD, write_policy


def parts(resilience: ResilienceSettings) -> Parts:
    clock, silence = LoopClock(), Silence()
    settings = Settings(role=EDGE, region="here", resilience=resilience)
    return Parts.of(settings, clock, silence, Observed(clock, silence, None))


def test_parts_are_those_of_the_settings() -> None:
    """The region, the limits, and as many seats as the settings allow."""
    made = parts(ResilienceSettings(admission=AdmissionSettings(max_requests=0)))

    assert (made.region, made.resilience.admission.max_requests) == ("here", 0)
    assert made.seats.are_taken()
    assert made.drain.is_ready


@pytest.mark.parametrize(("line", "seconds"), [("", (2.0, 7.0)), ("  timeout_ms: 4000\n", (4.0, 4.0))])
def test_a_route_has_its_own_time_or_that_of_the_settings(
    line: str, seconds: tuple[float, float], tmp_path: Path
) -> None:
    """What a request gets that names no deadline, and the most that any can get."""
    text = GOOD.replace("  cascade:", f"{line}  cascade:")
    (route,) = load_policy(write_policy(tmp_path, text))[0].routes
    limits = ResilienceSettings(deadline=DeadlineSettings(default_timeout_ms=2000, max_timeout_ms=7000))

    assert (timeout_s(parts(limits), route), longest_s(parts(limits), route)) == seconds


@virtual_time
async def test_all_flights_are_closed_at_once() -> None:
    """Those of every stack that is still in use; the others are gone by themselves."""
    memory = MemoryLevel(MemorySettings(), Silence())
    cache, service = CacheParts(CacheSettings(), (memory,), "avx2"), ScriptedService(HANG)
    stacks = [EarlyRefreshes(LoopClock()) for _ in range(2)]
    cache.flights.update(stacks)
    for refreshes in stacks:
        refreshes.start(request(key=b"a"), service)
    await asyncio.sleep(0)

    await cache.close_flights()

    assert (len(service.requests), service.running) == (2, 0)
    stacks.clear()
    del refreshes
    await asyncio.sleep(0)
    assert len(cache.flights) == 0


async def test_a_forgotten_model_is_forgotten_where_neighbours_sent_it() -> None:
    """In memory as well."""
    near = MemoryLevel(MemorySettings(), Silence())
    warm = WarmLevel(1 << 20, LoopClock(), Silence())
    await near.put(b"k" * 32, entry())
    warm.take(b"k" * 32, entry())
    cache = CacheParts(CacheSettings(), (near, warm), "none")
    await cache.forget(entry().response.model)

    assert near.stored(b"k" * 32) is None and len(warm) == 0
