"""Early refreshes against the formulas that XFetch obeys, with seeded chance and no clock but a number.

Reads come as a Poisson process of rate r, a computation takes δ, and each read triggers a refresh with
probability exp(-x / βδ) when x seconds are left. From that follow

* the first trigger: a Gumbel distribution, on average βδ (ln(rβδ) + 0.5772) before the expiry;
* a refresh that is not done at the expiry: exp(-rβδ e^(-1/β));
* refreshes begun before the first is done, by readers who know nothing of each other: e^(1/β).
"""

from __future__ import annotations

import asyncio
import math
import random

import pytest

from cache.freshness import Freshness
from cache.leases import Leases
from cache.settings import CacheSettings
from tests.cache.build import StepClock, cache_of, entry
from tests.cache.leasing import LeasingDict
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

EULER_GAMMA = 0.5772156649
DELTA_S, SOFT_EXPIRY_S = 0.5, 1_000.0
WITHIN = 0.05


class Reads:
    """Reads of one entry before its expiry; ``rate`` is r·δ, so many per computation."""

    def __init__(self, beta: float, rate: float, seed: int) -> None:
        self._chance = random.Random(seed)
        self._rate = rate / DELTA_S
        self._freshness = Freshness(CacheSettings(early_beta=beta), random.Random(seed + 1))
        self._entry = entry(answer(), now=SOFT_EXPIRY_S, fresh_s=0.0, compute_s=DELTA_S)
        # Before that, one of a million series would have a trigger.
        self._start_s = beta * DELTA_S * (math.log(rate * beta) + 14)

    def triggers(self) -> list[float]:
        """Return how many seconds before the expiry refreshes were begun, up to the first one's end."""
        found: list[float] = []
        left_s = self._start_s
        while True:
            left_s -= self._chance.expovariate(self._rate)
            if left_s <= 0 or (found and left_s <= found[0] - DELTA_S):
                return found
            if self._freshness.is_due(self._entry, SOFT_EXPIRY_S - left_s):
                found.append(left_s)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_first_refresh_is_as_early_as_a_gumbel_distribution_has_it(beta: float) -> None:
    """The more reads, the earlier; the mean within 5 %."""
    for rate in (10.0, 40.0):
        reads = Reads(beta, rate, seed=5)
        first = [found[0] for found in (reads.triggers() for _ in range(1500)) if found]

        expected_s = beta * DELTA_S * (math.log(rate * beta) + EULER_GAMMA)
        assert len(first) >= 1499
        assert mean(first) == pytest.approx(expected_s, rel=WITHIN)


@pytest.mark.parametrize(("beta", "rate"), [(1.0, 1.0), (1.0, 3.0), (2.0, 1.0)])
def test_so_often_no_refresh_is_done_at_the_expiry(beta: float, rate: float) -> None:
    """What is read seldom is not refreshed in time; what is read ten times per computation nearly always is."""
    reads = Reads(beta, rate, seed=7)
    late = [not found or found[0] < DELTA_S for found in (reads.triggers() for _ in range(8000))]

    expected = math.exp(-rate * beta * math.exp(-1 / beta))
    assert mean(list(map(float, late))) == pytest.approx(expected, rel=WITHIN)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_so_many_refreshes_are_begun_by_readers_who_know_nothing_of_each_other(beta: float) -> None:
    """That is e on average with XFetch's own beta, however many processes there are: not one."""
    reads = Reads(beta, rate=20.0, seed=11)
    begun = [float(len(reads.triggers())) for _ in range(3000)]

    assert mean(begun) == pytest.approx(math.exp(1 / beta), rel=WITHIN)


class LoopSteps(StepClock):
    """Steady time goes as the loop's does, which is virtual."""

    def steady(self) -> float:
        return self.now()


async def refreshes(seed: int, *, leased: bool) -> int:
    """Return how many calls four processes make before one expiry, at 20 reads per computation."""
    level, clock, telemetry = LeasingDict(), LoopSteps(), RecordingTelemetry()
    chance, central = random.Random(seed), ScriptedService(DELTA_S)
    leases = [Leases(level, clock=clock, chance=chance, telemetry=telemetry) for _ in range(4)]
    caches = [
        cache_of(clock=clock, far=[level], draw=None, leases=each if leased else None, ttl_s=20.0, jitter=0.0)
        for each in leases
    ]
    stacks = [cache.before(central) for cache in caches]
    asked = request(deadline=math.inf)
    for stack in stacks:
        await stack(asked)
    calls, ends_s = len(central.requests), clock.now() + 20.0 - 1.1 * DELTA_S
    await asyncio.sleep(20.0 - 10 * DELTA_S)
    while clock.now() < ends_s:
        await asyncio.sleep(chance.expovariate(20.0 / DELTA_S))
        await chance.choice(stacks)(asked)
    await asyncio.sleep(2 * DELTA_S)
    for cache in caches:
        await cache.aclose()
    return len(central.requests) - calls


@virtual_time
async def test_with_leases_exactly_one_refresh_is_made_per_expiry() -> None:
    """Without them, processes that know nothing of each other make more: that is what the leases are for."""
    leased = [await refreshes(seed, leased=True) for seed in range(12)]
    alone = [await refreshes(seed, leased=False) for seed in range(12)]

    assert leased == [min(each, 1) for each in alone], "one, wherever a read has drawn any"
    assert sum(alone) > sum(leased) >= 9
