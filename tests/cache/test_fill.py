"""What happens once per flight: the further levels in their order, the rest, and what is kept where."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from cache.early_refresh import EarlyRefreshes
from cache.fill import CacheFill
from cache.freshness import Freshness
from cache.levels.level import Entry
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.settings import CacheSettings
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Response
from gateway.core.telemetry import Silence
from tests.cache.build import DictLevel, FixedChance, StepClock, entry, looked_up
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

KEY = b"a" * 32
DOWN = GatewayError(Fault.UNAVAILABLE, "down", retryable=True)


class Cache:
    """A memory level before ``far`` ones, and what fills them."""

    def __init__(self, *far: DictLevel, compute_s: float = 0.0, **settings: object) -> None:
        self.telemetry, self.clock = RecordingTelemetry(), StepClock()
        self.memory = MemoryLevel(MemorySettings(), Silence())
        self.far, self.keeps = far, True
        self.service = ScriptedService(answer("edge", 5.0))
        chosen = CacheSettings(**{"ttl_s": 100.0, "jitter": 0.0, **settings})  # type: ignore[arg-type]
        self.fill = CacheFill(
            (self.memory, *far),
            freshness=Freshness(chosen, FixedChance()),
            refreshes=EarlyRefreshes(self.clock),
            accepts=lambda _request, response: response.model != "wrong",
            keeps=lambda _request, _response: self.keeps,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    async def ask(self) -> Response:
        return await stack(self.fill, service=self.service)(request(key=KEY))

    def entry(self, value: float, *, fresh_s: float, stale_s: float = 60.0) -> Entry:
        return entry(answer("edge", value), now=self.clock.wall(), fresh_s=fresh_s, stale_s=stale_s)


@virtual_time
async def test_a_request_without_a_key_passes_by() -> None:
    """What may not be kept is neither looked up nor put anywhere."""
    cache = Cache(DictLevel())

    response = await stack(cache.fill, service=cache.service)(request())

    assert response == answer("edge", 5.0)
    assert (cache.telemetry.events, cache.far[0].reads, cache.far[0].held) == ([], 0, {})


@virtual_time
async def test_what_turns_out_not_to_be_kept_is_put_nowhere() -> None:
    """It may turn out while a request is on its way; what others have kept of it is not believed either."""
    far = DictLevel()
    cache = Cache(far)
    cache.keeps = False

    assert (await cache.ask(), cache.memory.stored(KEY), far.held) == (answer("edge", 5.0), None, {})

    await far.put(KEY, cache.entry(1.0, fresh_s=50))
    assert await cache.ask() == answer("edge", 5.0)
    assert looked_up(cache.telemetry) == ["l2 garbage"]
    assert cache.memory.stored(KEY) is None


@virtual_time
async def test_levels_are_asked_in_their_order_and_filled_up_to_where_it_was_found() -> None:
    """What the third level has is put into the two before it; a level behind it is not asked."""
    second, third, fourth = DictLevel(), DictLevel("l3"), DictLevel("l4")
    cache = Cache(second, third, fourth)
    await third.put(KEY, cache.entry(1.0, fresh_s=50))
    await fourth.put(KEY, cache.entry(2.0, fresh_s=90))

    response = await cache.ask()

    assert (response.provenance.level, response.outputs) == ("l3", answer(value=1.0).outputs)
    assert (second.reads, third.reads, fourth.reads) == (1, 1, 0)
    assert cache.service.requests == []
    near = cache.memory.stored(KEY)
    assert near is not None
    assert (near.response.provenance.level, second.held[KEY].response.provenance.level) == ("l1", "l2")
    assert near.soft_expiry == second.held[KEY].soft_expiry == third.held[KEY].soft_expiry
    assert looked_up(cache.telemetry) == ["l3 hit"]


@virtual_time
async def test_a_stale_level_does_not_hide_a_fresh_one_behind_it() -> None:
    """Each level is reported; the newest of what is stale stands in when nothing fresh can be had."""
    second, third = DictLevel(), DictLevel("l3")
    cache = Cache(second, third)
    await second.put(KEY, cache.entry(1.0, fresh_s=-2))
    await third.put(KEY, cache.entry(2.0, fresh_s=50))

    fresh = await cache.ask()
    await cache.memory.delete(KEY)
    await second.put(KEY, cache.entry(1.0, fresh_s=-1))
    await third.put(KEY, cache.entry(2.0, fresh_s=-2))
    cache.service.steps = [DOWN]
    stale = await cache.ask()

    assert fresh.outputs == answer(value=2.0).outputs
    assert (stale.provenance.stale, stale.outputs) == (True, answer(value=1.0).outputs)
    assert looked_up(cache.telemetry) == ["l2 stale", "l3 hit", "l2 stale", "l3 stale"]


@pytest.mark.parametrize("certified", [True, False])
@virtual_time
async def test_only_answers_with_a_bound_on_their_risk_go_to_shared_levels(certified: bool) -> None:
    """An uncertified answer is kept in this gateway's own levels alone."""
    own, shared = DictLevel("l2", is_shared=False), DictLevel("l3")
    cache = Cache(own, shared)
    cache.service.steps = [answer("edge", certified=certified)]

    await cache.ask()

    assert cache.memory.stored(KEY) is not None
    assert (KEY in own.held, KEY in shared.held) == (True, certified)


@virtual_time
async def test_what_was_held_for_a_moment_is_not_refreshed_early() -> None:
    """An early refresh that only finds the edge leaves the fresh answer, and the next is due at its expiry."""
    cache = Cache()
    await cache.memory.put(KEY, replace(cache.entry(1.0, fresh_s=5), compute_s=2.0))
    cache.service.steps = [answer("edge", 9.0, certified=False)]

    response = await cache.ask()

    held = cache.memory.stored(KEY)
    assert held is not None
    assert (held.compute_s, held.soft_expiry) == (0.0, cache.clock.wall() + 5)
    assert response.outputs == answer(value=1.0).outputs
    assert not response.provenance.stale


@virtual_time
async def test_a_stale_answer_that_is_held_is_not_refreshed_early() -> None:
    """It is served for ``uncertified_ttl_s`` without another try, of which an early refresh would be one."""
    cache = Cache(uncertified_ttl_s=4.0)
    await cache.memory.put(KEY, replace(cache.entry(1.0, fresh_s=-1), compute_s=2.0))
    cache.service.steps = [answer("edge", 9.0, certified=False)]

    response = await cache.ask()

    held = cache.memory.stored(KEY)
    assert held is not None
    assert (held.compute_s, held.soft_expiry) == (0.0, cache.clock.wall() + 4)
    assert held.response.provenance.stale
    assert response.provenance.stale


@virtual_time
async def test_what_an_answer_took_is_kept_with_it() -> None:
    """The time of the rest, by the loop's clock, is what makes an early refresh due sooner."""
    cache = Cache()
    cache.service.steps = [3.0]

    await cache.ask()

    held = cache.memory.stored(KEY)
    assert held is not None
    assert held.compute_s == pytest.approx(3.0)


@virtual_time
async def test_repr_names_the_levels_in_order() -> None:
    """What is shown is what runs."""
    assert repr(Cache().fill).startswith("<CacheFill <MemoryLevel 0.0 of 256.0 MiB")


@virtual_time
async def test_what_cannot_be_an_answer_is_garbage_and_is_written_over() -> None:
    """A level behind it is looked into; what is computed takes the place of the wrong one."""
    second = DictLevel()
    cache = Cache(second)
    wrong = cache.entry(9.0, fresh_s=50)
    await second.put(KEY, replace(wrong, response=replace(wrong.response, model="wrong")))

    response = await cache.ask()

    assert response == answer("edge", 5.0)
    assert looked_up(cache.telemetry) == ["l2 garbage"]
    assert second.held[KEY].response.model == "digits"


@virtual_time
async def test_what_would_never_have_been_put_at_a_shared_level_is_garbage() -> None:
    """An answer without a bound on its risk was written there by somebody else."""
    second = DictLevel()
    cache = Cache(second)
    wrong = entry(answer("edge", 9.0, certified=False), now=cache.clock.wall(), fresh_s=50)
    await second.put(KEY, wrong)

    assert await cache.ask() == answer("edge", 5.0)
    assert looked_up(cache.telemetry) == ["l2 garbage"]


@virtual_time
async def test_what_cannot_be_an_answer_does_not_stand_in_for_one() -> None:
    """Not even stale, when nothing else can be had."""
    second = DictLevel()
    cache = Cache(second)
    wrong = cache.entry(9.0, fresh_s=-1)
    await second.put(KEY, replace(wrong, response=replace(wrong.response, model="wrong")))
    cache.service.steps = [DOWN]

    with pytest.raises(GatewayError):
        await cache.ask()


@virtual_time
async def test_what_a_clock_ahead_of_ours_has_written_is_computed_anew() -> None:
    """An answer from the future is stale, here and in the first level, and is written over."""
    second = DictLevel()
    cache = Cache(second)
    await second.put(KEY, cache.entry(9.0, fresh_s=3600))

    assert await cache.ask() == answer("edge", 5.0)

    assert looked_up(cache.telemetry) == ["l2 stale"]
    assert second.held[KEY].soft_expiry == cache.clock.steady() + 100


@virtual_time
async def test_what_has_expired_stays_so_when_the_clock_is_set_back() -> None:
    """In every level: no time of day makes an answer younger."""
    cache = Cache(DictLevel())
    await cache.ask()
    cache.clock.step(101)
    cache.clock.set_back(3600)
    cache.service.steps = [answer("edge", 6.0)]

    assert await cache.ask() == answer("edge", 6.0)
