"""What one route has kept, or the policy before, and another one finds in the level that they share."""

from __future__ import annotations

import pytest

from cache.levels.memory import MemoryLevel, MemorySettings
from cache.lookup import LONG_BYTES
from cache.negative import NegativeAnswers, NegativeCache
from gateway.core.cache_control import CacheDirectives
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Request, Response
from gateway.core.stack import Stack
from gateway.core.telemetry import Silence
from gateway.core.tensor import Tensor
from tests.cache.build import StepClock, cache_of
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.virtual_time import virtual_time

DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True)
REFUSED = GatewayError(Fault.INVALID, "no image", why=Why("400", answered=True, of_input=True))
LONG = (Tensor("x", "UINT8", (LONG_BYTES + 1,), bytes(LONG_BYTES + 1)),)


class World:
    """A route that keeps answers for an hour, and one for ten seconds, before one L1."""

    def __init__(self, **brief: object) -> None:
        self.clock, self.memory = StepClock(), MemoryLevel(MemorySettings(), Silence())
        self.service = ScriptedService(answer("central", 1.0), answer("central", 2.0))
        self.long = self._route(ttl_s=3600.0)
        self.brief = self._route(**{"ttl_s": 10.0, "stale_if_error_s": 0.0, **brief})

    def _route(self, **settings: object) -> Stack:
        kept = {"jitter": 0.0, "early_beta": 0.0, **settings}
        cache = cache_of(memory=self.memory, clock=self.clock, **kept)  # type: ignore[arg-type]
        return cache.before(self.service)


def value(response: Response) -> float:
    return float(response.outputs[0].numpy().flat[0])


@pytest.mark.parametrize(
    "asked",
    [request(), request(inputs=LONG), request(cache_control=CacheDirectives(max_age_s=3000))],
    ids=["plain", "long", "with a directive"],
)
async def test_each_route_goes_by_its_own_time_to_live(asked: Request) -> None:
    world = World()
    await world.long(asked)
    world.clock.step(60)

    assert value(await world.brief(asked)) == 2
    assert value(await world.brief(asked)) == 2
    assert len(world.service.requests) == 2


@virtual_time
async def test_the_fast_path_does_as_well() -> None:
    world, asked = World(), request()
    await world.long(asked)
    fast = [route.fast_path(asked) for route in (world.long, world.brief)]
    assert fast[0] is not None and fast[1] is not None

    data = [asked.inputs[0].data]
    assert fast[0](data) is not None
    assert fast[1](data) is None
    await world.brief(asked)
    assert fast[1](data) is not None


@pytest.mark.parametrize("after_s", [60.0, 600.0])
@virtual_time
async def test_what_others_have_kept_for_longer_stands_in_no_longer_than_ones_own(after_s: float) -> None:
    """However often it is asked for, its time does not begin anew."""
    world = World(stale_if_error_s=100.0)
    await world.long(request())
    world.service.steps = [DOWN]
    world.clock.step(after_s)

    if after_s < 110:
        assert (await world.brief(request())).provenance.stale
    else:
        with pytest.raises(GatewayError):
            await world.brief(request())


@virtual_time
async def test_a_verdict_is_given_for_as_long_as_the_route_has_it() -> None:
    clock, verdicts, service = StepClock(), NegativeAnswers(1 << 20), ScriptedService(REFUSED)
    long, brief = (
        stack(NegativeCache(verdicts, ttl_s, clock, Silence()), service=service) for ttl_s in (300, 5)
    )

    for route, after_s, computed in ((long, 0, 1), (brief, 4, 1), (brief, 1, 2)):
        clock.step(after_s)
        with pytest.raises(GatewayError):
            await route(request(key=b"k" * 32))
        assert len(service.requests) == computed
