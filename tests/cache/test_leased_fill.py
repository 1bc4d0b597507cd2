"""Several processes before one shared level: of what they miss at a time one answer is computed."""

from __future__ import annotations

import asyncio
import math
import random

import pytest

from cache.leases import Leases
from gateway.core.cache_control import CacheDirectives
from gateway.core.cache_events import CacheLeased
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Response
from gateway.core.stack import Stack
from tests.cache.build import StepClock, cache_of
from tests.cache.leasing import LeasingDict
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True)
EDGE, UNBOUND = answer("edge", 1.0), answer("edge", 2.0, certified=False)


class Processes:
    """``count`` caches before ``level``, all with the one ``central`` behind them."""

    def __init__(self, count: int, *steps: object, leased: bool = True, draw: float = 0.5) -> None:
        self.level, self.clock, self.telemetry = LeasingDict(), StepClock(), RecordingTelemetry()
        self.central = ScriptedService(*steps)  # type: ignore[arg-type]
        self.caches = [
            cache_of(
                self.telemetry,
                clock=self.clock,
                far=[self.level],
                draw=draw,
                leases=self._leases(seed) if leased else None,
                ttl_s=100.0,
                jitter=0.0,
            )
            for seed in range(count)
        ]
        self.stacks = [cache.before(self.central) for cache in self.caches]

    def _leases(self, seed: int) -> Leases:
        chance = random.Random(seed)
        return Leases(self.level, clock=self.clock, chance=chance, telemetry=self.telemetry)

    async def ask(self, waiters: int = 1, **changes: object) -> list[Response | BaseException]:
        """Have as many ask at every process as said, all at a time."""
        asked = [_ask(stack, i, **changes) for stack in self.stacks for i in range(waiters)]
        return await asyncio.gather(*asked, return_exceptions=True)

    @property
    def outcomes(self) -> list[str]:
        return sorted(event.outcome for event in self.telemetry.of(CacheLeased))


async def _ask(stack: Stack, number: int, **changes: object) -> Response:
    deadline = asyncio.get_running_loop().time() + 10
    return await stack(request(id=str(number), **{"deadline": deadline, **changes}))


@pytest.mark.parametrize(("leased", "calls"), [(True, 1), (False, 4)])
@virtual_time
async def test_four_processes_with_500_waiters_make_one_call_per_expiry(leased: bool, calls: int) -> None:
    """Without leases each process makes its own: that is what they are for."""
    world = Processes(4, 0.5, leased=leased)

    for expiry in range(1, 4):
        answers = await world.ask(500)

        assert len(answers) == 2000
        assert not [each for each in answers if isinstance(each, BaseException)]
        assert len(world.central.requests) == expiry * calls
        world.clock.step(150)


@virtual_time
async def test_what_another_has_computed_is_kept_here_and_said_to_come_from_there() -> None:
    """Its next request is a hit in memory, for as long as everybody's."""
    world = Processes(2, 0.5)

    answers = await world.ask()
    again = await world.ask()

    levels = [each.provenance.level for each in answers if isinstance(each, Response)]
    assert levels == ["", "l2"]
    assert [each.provenance.level for each in again if isinstance(each, Response)] == ["l1", "l1"]
    assert (world.outcomes, world.level.leases) == (["joined", "lost", "won"], {})


@pytest.mark.parametrize("step", [DOWN, UNBOUND])
@virtual_time
async def test_what_is_not_shared_is_computed_by_each_and_its_lease_given_back(step: object) -> None:
    """An error or an answer without a bound on its risk: those who wait hear at once that nothing comes."""
    world = Processes(4, step)

    answers = await world.ask(10)

    assert len(answers) == 40
    assert len(world.central.requests) == 4
    assert world.outcomes.count("abandoned") == 3
    assert world.level.held == {}


@virtual_time
async def test_a_holder_that_is_cancelled_is_followed_by_another() -> None:
    """Its last caller has left."""
    world = Processes(2, 0.5)
    leaving = asyncio.create_task(_ask(world.stacks[0], 1))
    await asyncio.sleep(0.01)
    waiting = asyncio.create_task(_ask(world.stacks[1], 1))
    await asyncio.sleep(0.1)
    leaving.cancel()

    assert isinstance(await waiting, Response)
    assert world.outcomes == ["lost", "taken_over", "won"]


@virtual_time
async def test_a_stale_answer_stands_in_where_the_holder_and_then_we_fail() -> None:
    """What a lease adds changes nothing of what an outage leaves."""
    world = Processes(2, EDGE)
    await world.ask()
    world.clock.step(110)
    world.central.steps = [DOWN]

    answers = await world.ask()

    assert [each.provenance.stale for each in answers if isinstance(each, Response)] == [True, True]


@virtual_time
async def test_of_processes_that_refresh_early_one_does() -> None:
    """The others go on with what they hold, and find the new answer when theirs is due the next time."""
    world = Processes(4, 0.5, draw=math.nextafter(1.0, 0.0))
    await world.ask()
    assert len(world.central.requests) == 1
    world.clock.step(99.0)

    answers = await world.ask(5)
    await asyncio.sleep(1.0)

    assert {each.provenance.level for each in answers if isinstance(each, Response)} == {"l1"}
    assert len(world.central.requests) == 2
    assert world.outcomes.count("lost") == 3 + 3
    await world.ask()
    await asyncio.sleep(1.0)
    world.clock.step(10.0)
    again = await world.ask()
    assert {each.provenance.level for each in again if isinstance(each, Response)} == {"l1"}
    assert len(world.central.requests) == 2
    for cache in world.caches:
        await cache.aclose()


@virtual_time
async def test_a_forwarded_request_waits_for_no_lease() -> None:
    """The gateway that has forwarded it may hold the lease of the very same key until it is answered."""
    world = Processes(2, 0.5)
    own = asyncio.create_task(_ask(world.stacks[0], 1))
    await asyncio.sleep(0.1)
    began = world.clock.now()

    await _ask(world.stacks[1], 1, hops=1)

    assert world.clock.now() - began == pytest.approx(0.5)
    assert world.outcomes == ["won"]
    await own


@virtual_time
async def test_garbage_that_another_has_written_is_not_what_one_waited_for() -> None:
    """Answers of another artefact are not kept either; each then computes for itself."""
    world = Processes(2, EDGE)
    await world.ask()
    (key,) = world.level.held
    held = world.level.held[key]
    world.level.held[key] = type(held).of(
        UNBOUND, soft_expiry=held.soft_expiry + 500, hard_expiry=held.hard_expiry + 500, compute_s=0.1
    )
    world.clock.step(150)

    answers = await world.ask()

    assert all(isinstance(each, Response) and each.outputs == EDGE.outputs for each in answers)


@virtual_time
async def test_who_wants_it_younger_waits_for_the_lease_of_another() -> None:
    """What is fresh for others, and is served while another process computes it anew, is too old for it."""
    world = Processes(2, EDGE, 0.5)
    await world.ask()
    world.clock.step(50)
    young = CacheDirectives(max_age_s=10)

    answers = await world.ask(cache_control=young)

    born = {each.born for each in answers if isinstance(each, Response)}
    assert born == {0.0, world.clock.steady()}
    assert len(world.central.requests) == 2
