"""Hits of the edge's answers are counted, and what is popular is verified at central once."""

from __future__ import annotations

import asyncio
import math

from cache.early_refresh import EarlyRefreshes
from cache.freshness import Freshness
from cache.levels.level import NearLevel
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.lookup import CacheLookup
from cache.settings import CacheSettings
from cache.verification import CountedLevel, PopularAnswers, VerifyingRefreshes
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request
from gateway.core.telemetry import Silence
from tests.cache.build import FixedChance, StepClock, cache_of, entry, hasher
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.virtual_time import virtual_time

KEY = b"a" * 32
EDGE, CENTRAL = answer("edge", 1.0), answer("central", 2.0)


async def level_with(response: object = EDGE) -> MemoryLevel:
    level = MemoryLevel(MemorySettings(), Silence())
    await level.put(KEY, entry(response))  # type: ignore[arg-type]
    return level


async def test_a_popular_answer_is_due_after_so_many_hits() -> None:
    """By either way of looking: by the short one it is not found then, by the other it looks due at once."""
    level, popular = await level_with(), PopularAnswers(3)
    counted = CountedLevel(level, popular)

    assert [counted.glance(KEY) is None for _ in range(4)] == [False, False, True, True]
    found = counted.peek(KEY)

    assert found is not None
    assert (found.compute_s, found.response) == (math.inf, answer("edge", 1.0, level="l1"))
    assert popular.is_due(KEY)
    popular.forget(KEY)
    assert counted.peek(KEY) == level.stored(KEY)
    assert not popular.is_due(KEY)


async def test_only_certified_answers_of_the_edge_are_counted() -> None:
    """Central's are what they are verified by, and one without a bound on its risk is gone in a moment."""
    for response in (CENTRAL, answer("edge", certified=False)):
        counted = CountedLevel(await level_with(response), popular := PopularAnswers(1))

        assert counted.glance(KEY) is not None
        assert counted.peek(KEY) is not None
        assert not popular.is_due(KEY)


async def test_what_is_not_held_is_not_counted() -> None:
    """And everything else is the level's own."""
    level, popular = await level_with(), PopularAnswers(1)
    counted: NearLevel = CountedLevel(level, popular)

    assert (counted.glance(b"b" * 32), counted.peek(b"b" * 32)) == (None, None)
    assert "0, due after 1" in repr(counted)
    await counted.put(b"b" * 32, entry())
    assert level.stored(b"b" * 32) == await counted.get(b"b" * 32) == counted.stored(b"b" * 32)
    await counted.delete(KEY)
    assert level.stored(KEY) is None
    assert (counted.name, counted.is_shared) == (level.name, level.is_shared)


def test_only_so_many_are_counted_at_a_time() -> None:
    """A stream of answers that are given once takes no memory, and the newest are counted."""
    popular, held = PopularAnswers(2, most=10), entry(EDGE)
    for each in range(1000):
        popular.count(b"%d" % each, held)

    assert "10, due" in repr(popular)
    assert popular.count(b"999", held)


class Refreshing:
    """A look-up that verifies, before an edge that has answered and a central tier."""

    def __init__(self, after: int, *, beta: float = 1e-9, room: bool = True) -> None:
        self.clock, self.room = StepClock(), room
        self.level, self.popular = MemoryLevel(MemorySettings(), Silence()), PopularAnswers(after)
        self.central = ScriptedService(CENTRAL)
        self.edge = ScriptedService(EDGE)
        self.cache = cache_of(clock=self.clock, memory=self.level, ttl_s=100.0, jitter=0.0, early_beta=beta)
        self.refreshes = VerifyingRefreshes(
            LoopClock(),
            timeout_s=5.0,
            most=4,
            popular=self.popular,
            verify=stack(self.cache.fill, service=self.central).entry,
            may_verify=lambda: self.room,
        )
        lookup = CacheLookup(
            CountedLevel(self.level, self.popular),
            hasher=hasher(),
            freshness=Freshness(CacheSettings(early_beta=beta), FixedChance()),
            refreshes=self.refreshes,
            forbids=lambda _model: False,
            clock=self.clock,
            telemetry=Silence(),
        )
        self.stack = stack(lookup, self.cache.flight, self.cache.fill, service=self.edge)

    async def ask(self, times: int = 1) -> list[str]:
        origins = []
        for _ in range(times):
            response = await self.stack(request(deadline=math.inf))
            origins.append(f"{response.provenance.origin} {response.provenance.level}".strip())
            await asyncio.sleep(0.01)
        return origins


@virtual_time
async def test_after_so_many_hits_central_is_asked_once_and_its_answer_is_kept() -> None:
    """Nobody waits for it: the hit that was due got what was there."""
    world = Refreshing(3)

    assert await world.ask(4) == ["edge", "edge l1", "edge l1", "edge l1"]
    assert await world.ask(20) == ["central l1"] * 20
    assert len(world.central.requests) == 1
    assert len(world.edge.requests) == 1


@virtual_time
async def test_where_there_is_no_room_it_is_due_again_after_as_many_hits() -> None:
    """And not at each of them."""
    world = Refreshing(3, room=False)

    await world.ask(1 + 3 + 2)
    world.room = True
    assert await world.ask(1) == ["edge l1"]
    assert await world.ask(1) == ["central l1"]


@virtual_time
async def test_what_central_does_not_answer_stays_as_it_is() -> None:
    """It is tried again after as many hits."""
    world = Refreshing(2)
    world.central.steps = [GatewayError(Fault.UNAVAILABLE, "down", retryable=True), CENTRAL]

    assert await world.ask(1 + 2 + 2) == ["edge", *["edge l1"] * 4]
    assert await world.ask(1) == ["central l1"]
    assert len(world.central.requests) == 2


@virtual_time
async def test_what_is_not_popular_is_refreshed_as_ever() -> None:
    """By the rest of the stack."""
    clock, popular = LoopClock(), PopularAnswers(3)
    central, rest = ScriptedService(CENTRAL), ScriptedService(EDGE)
    refreshes: EarlyRefreshes = VerifyingRefreshes(
        clock, timeout_s=1.0, most=1, popular=popular, verify=central, may_verify=lambda: True
    )
    asked: Request = request(key=KEY)
    refreshes.start(asked, rest)
    await asyncio.sleep(0.01)

    assert (len(rest.requests), len(central.requests)) == (1, 0)
