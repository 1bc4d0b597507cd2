"""What an operator sees of the caches of one process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.app.foundation import Foundation
from gateway.app.tier import Tier
from gateway.core.cache_levels import FEATURE_LEVELS
from gateway.core.cache_report import CacheReport
from gateway.core.control import NoCache
from gateway.core.purge import PurgeOrder
from gateway.core.request import Caller
from tests.gateway.app.processes import EDGE
from tests.gateway.app.test_caches import MEMORY, with_redis
from tests.gateway.app.test_edge import opened
from tests.scenarios.test_computed_features import split
from tests.scenarios.world import CONFIDENT, digits, picture


@asynccontextmanager
async def edge(tmp_path: Path, text: str = EDGE):
    async with AsyncExitStack() as lifetimes:
        yield await opened(lifetimes, tmp_path, text)


async def ask(process: tuple[Foundation, Tier], *tenants: str) -> CacheReport:
    """Ask the same of each tenant, in turn, and return the report."""
    foundation, tier = process
    for tenant in tenants:
        caller = Caller(address="81.2.69.142", tenant=tenant, vouched=True)
        await foundation.in_force.current()(picture(CONFIDENT, caller=caller))
    return await tier.cache.report(10)


async def test_answers_are_counted_by_tenant_and_level(tmp_path: Path) -> None:
    """The first is computed, the second is not; another tenant's is computed again."""
    async with edge(tmp_path) as process:
        assert (await ask(process)).hit_ratio is None
        report = await ask(process, "anonymous", "anonymous", "anonymous")

    [level], [row] = report.levels, report.top
    assert (report.enabled, report.processes, report.answers) == (True, 1, {"edge": 1, "l1": 2})
    assert report.hit_ratio == row.hit_ratio == 2 / 3
    assert (row.model, row.tenant, row.by) == ("digits", "anonymous", {"edge": 1, "l1": 2})
    assert level.level == "l1"
    assert level.lookups == level.recent_lookups == {"miss": 1, "hit": 2}
    assert (level.hit_ratio, level.entries, level.max_bytes) == (2 / 3, 1, 1 << 20)
    assert level.bytes and level.bytes < 1 << 20
    assert set(level.evictions.values()) == {0}
    assert level.state[0].startswith("<MemoryLevel")
    assert report.flights == {"running": 0, "waiting": 0, "joined": 0}


@pytest.mark.parametrize("redis", [True, False])
async def test_what_was_computed_shows_and_is_purged(tmp_path: Path, redis: bool) -> None:
    """Its levels are there once a model has features; after a purge of the model its backbone runs again."""
    repository = split(tmp_path).parent.parent
    text = with_redis("redis://127.0.0.1:9/0") if redis else EDGE
    async with edge(tmp_path, text.replace(str(digits.EDGE_REPOSITORY), str(repository))) as process:
        foundation, tier = process

        async def runs(*outputs: str) -> int:
            await foundation.in_force.current()(picture(CONFIDENT, outputs=outputs))
            shown = foundation.prometheus.render().decode()
            return int(float(shown.split('edgeway_backbone_runs_total{model="digits"} ')[1].split()[0]))

        assert not {each.level for each in (await ask(process)).levels} & set(FEATURE_LEVELS)
        assert (await runs(), await runs(digits.OUTPUT)) == (1, 1)
        report = await ask(process)
        features = [level for level in report.levels if level.level in FEATURE_LEVELS]

        assert [level.level for level in features] == ["l3", "l3_redis"][: 1 + redis]
        assert (features[0].lookups, features[0].hit_ratio) == ({"miss": 1, "hit": 1}, 0.5)
        assert (features[0].entries, features[0].max_bytes) == (1, 64 << 20)
        assert b'edgeway_cache_entries{level="l3"} 1.0' in foundation.prometheus.render()
        assert ("redis l3_redis" in report.gates) is redis

        await tier.purges.purge(PurgeOrder(model="digits"))
        assert (await runs(), await runs(digits.OUTPUT)) == (2, 2)


async def test_what_is_under_way_shows(tmp_path: Path) -> None:
    """Two equal requests are one flight, for which both wait."""
    async with edge(tmp_path) as (foundation, tier):
        both = [asyncio.ensure_future(foundation.in_force.current()(picture(CONFIDENT))) for _ in range(2)]
        await asyncio.sleep(0)
        report = await tier.cache.report(0)
        text = foundation.prometheus.render().decode()
        await asyncio.gather(*both)
        after = await tier.cache.report(0)

    assert report.flights == {"running": 1, "waiting": 2, "joined": 1}
    assert after.flights == {"running": 0, "waiting": 0, "joined": 1}
    assert "edgeway_flights 1.0" in text and "edgeway_flight_waiters 2.0" in text
    assert report.top == ()


async def test_the_metrics_have_the_levels(tmp_path: Path) -> None:
    """As they are when they are read."""
    async with edge(tmp_path) as (foundation, tier):
        await ask((foundation, tier), "anonymous")
        text = foundation.prometheus.render().decode()

    assert 'edgeway_cache_entries{level="l1"} 1.0' in text
    assert 'edgeway_cache_max_bytes{level="l1"} 1.048576e+06' in text
    assert 'edgeway_cache_evictions_total{cause="small",level="l1"} 0.0' in text


async def test_a_level_outside_shows_its_gate(tmp_path: Path) -> None:
    """Nobody listens there: what it holds is not known, and how it is is."""
    async with edge(tmp_path, with_redis("redis://127.0.0.1:9/0")) as process:
        report = await ask(process, "anonymous")

    near, far = report.levels
    assert (near.level, far.level) == ("l1", "l2")
    assert report.gates == {"redis": "closed"}
    assert (far.entries, far.bytes, far.lookups) == (None, None, {"error": 1})
    assert "reads" in far.state[0]


@pytest.mark.parametrize("top", [0, 1])
async def test_only_so_many_are_named(tmp_path: Path, top: int) -> None:
    async with edge(tmp_path) as (foundation, tier):
        await ask((foundation, tier), "anonymous")
        report = await tier.cache.report(top)

    assert len(report.top) == top
    assert report.answers == {"edge": 1}


async def test_without_a_cache_there_is_nothing_to_see(tmp_path: Path) -> None:
    async with edge(tmp_path, EDGE.replace(MEMORY, "")) as (foundation, tier):
        await ask((foundation, tier), "anonymous")

        assert isinstance(tier.cache, NoCache)
        assert b"edgeway_cache_bytes" not in foundation.prometheus.render()
