"""A popular answer of the edge is verified at central, and central's is kept: real models, a real central tier."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.core.request import Caller
from tests.fakes.redis_server import RedisServer
from tests.scenarios.world import CONFIDENT, POLICY, World, until

VERIFIES = POLICY.replace("  cascade:", "  cache: {{verify_after: 3}}\n  cascade:")
LOCAL = Caller(tenant="local", vouched=True)


def results(world: World, result: str) -> float:
    return world.metric(f'edgeway_cache_verifications_total{{result="{result}",route="digits"}}')


@pytest.mark.redis
async def test_central_is_asked_once_and_its_answer_is_kept_in_all_levels(
    tmp_path: Path, redis: RedisServer
) -> None:
    """Whoever comes later gets it, from memory or from Redis; what it came to is counted."""
    async with World(tmp_path, redis=redis.url) as world:
        world.write_policy(2, VERIFIES)
        await world.in_force(2)
        first = [(await world.ask(CONFIDENT)).provenance for _ in range(4)]
        # The first time the edge's answer may still be on its way to Redis: then it is due again.
        while not results(world, "agreed") + results(world, "differed"):
            await world.ask(CONFIDENT)
            await asyncio.sleep(0.01)
        later = [(await world.ask(CONFIDENT)).provenance for _ in range(8)]

    assert [each.origin for each in first] == ["edge"] * 4
    assert [(each.origin, each.level) for each in later] == [("central", "l1")] * 8
    async with World(tmp_path, redis=redis.url) as world:
        assert (await world.ask(CONFIDENT)).provenance.label == "l2"
        assert (await world.ask(CONFIDENT)).provenance.origin == "central"


async def test_it_never_leaves_the_regions_of_its_residency(tmp_path: Path) -> None:
    """Central is in another region: this tenant's answers stay the edge's, and the failure is counted."""
    async with World(tmp_path) as world:
        world.write_policy(2, VERIFIES)
        await world.in_force(2)
        answers = [await world.ask(CONFIDENT, caller=LOCAL) for _ in range(4)]
        await until(lambda: results(world, "failed") == 1)

        assert [each.provenance.origin for each in answers] == ["edge"] * 4
        assert world.metric('edgeway_attempts_total{endpoint="central",outcome="ok"}') == 0
        assert (await world.ask(CONFIDENT, caller=LOCAL)).provenance.origin == "edge"


async def test_while_central_is_unwell_it_is_not_asked(tmp_path: Path) -> None:
    """Hits go on, and the verification is counted as skipped."""
    async with World(tmp_path) as world:
        world.write_policy(2, VERIFIES)
        await world.in_force(2)
        await world.ask(CONFIDENT)
        await world.stop_central()
        image = CONFIDENT
        while world.metric('edgeway_breaker_state{endpoint="central"}') != 2:
            image += 1
            await world.ask(image)

        hits = [await world.ask(CONFIDENT) for _ in range(12)]
        await until(lambda: results(world, "skipped") + results(world, "failed") >= 1)

        assert {(each.provenance.origin, each.provenance.level) for each in hits} == {("edge", "l1")}
