"""What each directive of a client does, through the whole cache; and stale answers while they are refreshed."""

from __future__ import annotations

import asyncio

import pytest

from cache.levels.memory import MemoryLevel, MemorySettings
from cache.lookup import LONG_BYTES
from cache.single_flight import flight_key
from gateway.core.cache_control import NO_STORE, REFRESH, CacheDirectives
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Response
from gateway.core.tensor import Tensor
from tests.cache.build import DictLevel, StepClock, cache_of, looked_up
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

NO_CACHE = CacheDirectives(no_cache=True)
ONLY = CacheDirectives(only_if_cached=True)
DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True)


class World:
    """A cache of L1 and L2 and the rest, whose answers count up from 1."""

    def __init__(self, **settings: object) -> None:
        self.clock, self.far, self.telemetry = StepClock(), DictLevel(), RecordingTelemetry()
        self.memory = MemoryLevel(MemorySettings(), self.telemetry)
        self.cache = cache_of(
            self.telemetry,
            memory=self.memory,
            clock=self.clock,
            far=[self.far],
            forbidden=("secret",),
            **{"ttl_s": 100.0, "jitter": 0.0, "early_beta": 0.0, **settings},
        )
        self.service = ScriptedService()
        self.service.steps = [answer("central", float(number)) for number in range(1, 9)]
        self.serve = self.cache.before(self.service)

    async def ask(self, control: CacheDirectives | None = None, **changes: object) -> Response:
        return await self.serve(request(cache_control=control, **changes))

    @property
    def computed(self) -> int:
        return len(self.service.requests)


def value(response: Response) -> float:
    return float(response.outputs[0].numpy().flat[0])


async def fault(pending: object) -> Fault:
    with pytest.raises(GatewayError) as caught:
        await pending  # type: ignore[misc]
    return caught.value.fault


@virtual_time
async def test_no_cache_is_computed_and_kept() -> None:
    """Nothing that is held answers, in no level; the next one gets the new answer."""
    world = World()
    first = await world.ask()

    anew = await world.ask(NO_CACHE)
    after = await world.ask()

    assert [value(each) for each in (first, anew, after)] == [1, 2, 2]
    assert (anew.provenance.level, after.provenance.level, world.far.reads) == ("", "l1", 1)


@virtual_time
async def test_no_store_is_neither_read_nor_kept() -> None:
    world = World()

    assert value(await world.ask(NO_STORE)) == 1
    assert world.far.held == {}
    assert value(await world.ask()) == 2
    assert value(await world.ask(NO_STORE)) == 3
    assert value(await world.ask()) == 2
    assert [each.key == b"" for each in world.service.requests] == [True, False, True]


@pytest.mark.parametrize(
    "changes",
    [{}, {"parameters": {"sequence_id": 1}}, {"model": "secret"}],
    ids=["not held", "step", "forbidden"],
)
@virtual_time
async def test_only_if_cached_computes_nothing(changes: dict[str, object]) -> None:
    world = World()

    assert await fault(world.ask(ONLY, **changes)) is Fault.NOT_CACHED
    assert await fault(world.ask(CacheDirectives(only_if_cached=True, no_store=True))) is Fault.NOT_CACHED
    assert world.computed == 0


@pytest.mark.parametrize("changes", [{}, {"max_age_s": 5.0}, {"no_store": True}])
@virtual_time
async def test_only_if_cached_and_no_cache_leave_nothing_to_answer(changes: dict[str, object]) -> None:
    """What is held may not answer, and nothing may be computed: also where something is held."""
    world = World()
    await world.ask()

    both = CacheDirectives(only_if_cached=True, no_cache=True, **changes)  # type: ignore[arg-type]
    assert await fault(world.ask(both)) is Fault.NOT_CACHED
    assert world.computed == 1


@virtual_time
async def test_only_if_cached_gets_what_any_level_holds() -> None:
    """Also what is stale for as long as others get it; nothing is refreshed on its account."""
    world = World(stale_while_revalidate_s=10)
    await world.ask()
    assert (await world.ask(ONLY)).provenance.level == "l1"
    await world.memory.delete(world.service.requests[0].key)
    assert (await world.ask(ONLY)).provenance.level == "l2"

    world.clock.step(105)
    late = await world.ask(ONLY)
    await world.memory.delete(world.service.requests[0].key)
    later = await world.ask(ONLY)
    world.clock.step(10)

    assert late.provenance.stale and later.provenance.stale
    assert await fault(world.ask(ONLY)) is Fault.NOT_CACHED
    assert (world.computed, repr(world.cache.refreshes)) == (1, "<EarlyRefreshes 0 of 64 running>")


@virtual_time
async def test_max_age_goes_by_the_age_in_every_level() -> None:
    world = World()
    await world.ask()
    world.clock.step(5)

    assert value(await world.ask(CacheDirectives(max_age_s=5))) == 1
    assert value(await world.ask(CacheDirectives(max_age_s=4))) == 2
    assert value(await world.ask(CacheDirectives(max_age_s=0.5))) == 2
    world.clock.step(100)
    assert value(await world.ask(CacheDirectives(max_age_s=1000))) == 3


@pytest.mark.parametrize("control", [NO_CACHE, CacheDirectives(max_age_s=1000)], ids=["no-cache", "max-age"])
@virtual_time
async def test_who_wants_nothing_stale_gets_the_error(control: CacheDirectives) -> None:
    """Others get the answer that may stand in."""
    world = World(stale_if_error_s=50)
    await world.ask()
    world.clock.step(110)
    world.service.steps = [DOWN, DOWN]

    assert await fault(world.ask(control)) is Fault.UNAVAILABLE
    assert (await world.ask()).provenance.stale


@virtual_time
async def test_max_age_wants_none_that_stands_in_for_a_better_one() -> None:
    """It is held as if it were fresh for a moment, so that others need not wait for what cannot be had."""
    world = World(stale_if_error_s=50, uncertified_ttl_s=5)
    await world.ask()
    world.clock.step(110)
    world.service.steps = [answer("edge", 9.0, certified=False)]
    assert value(await world.ask()) == 1
    assert (await world.ask()).provenance.stale

    assert value(await world.ask(CacheDirectives(max_age_s=1000))) == 9


@virtual_time
async def test_an_uncertified_answer_displaces_nothing_for_no_cache() -> None:
    world = World()
    await world.ask()
    world.service.steps = [answer("edge", 9.0, certified=False)]

    assert value(await world.ask(NO_CACHE)) == 9
    assert value(await world.ask()) == 1


async def test_a_long_request_is_keyed_in_a_thread() -> None:
    world = World()
    long = Tensor("x", "UINT8", (LONG_BYTES + 1,), bytes(LONG_BYTES + 1))
    await world.ask(inputs=(long,))

    assert (await world.ask(ONLY, inputs=(long,))).provenance.level == "l1"


@virtual_time
async def test_equal_wishes_share_a_flight_and_others_do_not() -> None:
    """A thousand reloads at once cost the rest one computation."""
    world = World()
    answers = await asyncio.gather(*[world.ask(NO_CACHE) for _ in range(1000)], world.ask())

    assert world.computed == 2
    assert {value(each) for each in answers} <= {1.0, 2.0}
    asked = [request(key=b"k", cache_control=control) for control in (None, REFRESH, NO_CACHE)]
    assert flight_key(asked[0]) == flight_key(asked[1]) != flight_key(asked[2])


@virtual_time
async def test_no_request_with_directives_has_a_fast_path() -> None:
    world = World()

    assert world.serve.fast_path(request()) is not None
    assert world.serve.fast_path(request(cache_control=CacheDirectives(max_age_s=5))) is None


@pytest.mark.parametrize("is_near", [True, False], ids=["l1", "l2"])
@virtual_time
async def test_a_stale_answer_is_served_while_one_refresh_runs(is_near: bool) -> None:
    """It is served at once, marked as stale, to all; then all get the new one."""
    world = World(stale_while_revalidate_s=20, stale_if_error_s=0)
    await world.ask()
    world.clock.step(110)
    if not is_near:
        await world.memory.delete(world.service.requests[0].key)

    world.service.steps = [HANG]
    stale = [await world.ask() for _ in range(5)]
    world.service.release()
    for _ in range(20):
        await asyncio.sleep(0)
    fresh = await world.ask()

    assert [(value(each), each.provenance.stale) for each in stale] == [(1, True)] * 5
    assert (fresh.provenance.level, fresh.provenance.stale, world.computed) == ("l1", False, 2)
    assert looked_up(world.telemetry).count("l1 revalidating") == (5 if is_near else 4)


@virtual_time
async def test_past_both_windows_nothing_stale_is_served() -> None:
    """Each of the two has its own length, and a failed refresh harms nobody within its window."""
    world = World(stale_while_revalidate_s=20, stale_if_error_s=5)
    await world.ask()
    world.clock.step(110)
    world.service.steps = [DOWN, DOWN]
    assert (await world.ask()).provenance.stale
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.computed == 2

    world.clock.step(11)
    assert await fault(world.ask()) is Fault.UNAVAILABLE


@virtual_time
async def test_a_hanging_refresh_is_the_only_one() -> None:
    world = World(stale_while_revalidate_s=20)
    await world.ask()
    world.clock.step(110)
    world.service.steps = [HANG]

    for _ in range(50):
        assert (await world.ask()).provenance.stale
        await asyncio.sleep(0)
    assert world.computed == 2
    await world.cache.aclose()


@virtual_time
async def test_a_further_level_may_hold_one_that_is_too_old() -> None:
    world = World()
    await world.ask()
    world.clock.step(10)
    await world.memory.delete(world.service.requests[0].key)

    assert value(await world.ask(CacheDirectives(max_age_s=5))) == 2
    await world.memory.delete(world.service.requests[0].key)
    assert (await world.ask(CacheDirectives(max_age_s=5))).provenance.level == "l2"


@virtual_time
async def test_one_request_for_a_stale_answer_of_l2_is_enough_to_refresh_it() -> None:
    """Nobody else need come within the window."""
    world = World(stale_while_revalidate_s=20)
    await world.ask()
    world.clock.step(110)
    await world.memory.delete(world.service.requests[0].key)

    assert (await world.ask()).provenance.stale
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.computed == 2


@virtual_time
async def test_a_stale_answer_that_waits_stands_in_no_longer_than_it_may() -> None:
    """Also where it could be served for longer while it is computed anew, and was put off again and again."""
    world = World(stale_while_revalidate_s=0, stale_if_error_s=20)
    await world.ask()
    world.service.steps = [answer("edge", 9.0, certified=False)]
    world.clock.step(101)
    assert value(await world.ask()) == 1
    world.clock.step(6)
    assert value(await world.ask()) == 1
    world.clock.step(15)

    late = await world.ask()
    assert (value(late), late.provenance.certified) == (9, False)
