"""What a route's rules make of the gateway's cache."""

from __future__ import annotations

import pytest

from cache.levels.level import Levels
from cache.levels.memory import MemoryLevel, MemorySettings
from cache.settings import CacheSettings
from cache.warming.level import WarmLevel
from gateway.app.cache_rules import lacking, levels_of, settings_of
from gateway.core.clock import LoopClock
from gateway.core.telemetry import Silence
from routing.caching import RouteCache, TtlByProvenance
from tests.cache.build import DictLevel

LEVELS: Levels = (MemoryLevel(MemorySettings(), Silence()), DictLevel())
OWN = CacheSettings(ttl_s=100, central_ttl_s=200, edge_ttl_s=50, stale_if_error_s=7, negative_ttl_s=3)


@pytest.mark.parametrize(
    ("rules", "times"),
    [
        (RouteCache(), (100, 200, 50, 5, 7, 3)),
        (RouteCache(ttl_s=9), (9, None, None, 5, 7, 3)),
        (
            RouteCache(ttl_s=9, ttl_by_provenance=TtlByProvenance(edge_s=4, edge_uncertified_s=0)),
            (9, None, 4, 0, 7, 3),
        ),
        (RouteCache(stale_if_error_s=0, negative_ttl_s=0), (100, 200, 50, 5, 0, 0)),
    ],
)
def test_what_the_route_says_goes_before(rules: RouteCache, times: tuple[float | None, ...]) -> None:
    found = settings_of(OWN, rules)

    assert (
        found.ttl_s,
        found.central_ttl_s,
        found.edge_ttl_s,
        found.uncertified_ttl_s,
        found.stale_if_error_s,
        found.negative_ttl_s,
    ) == times


def test_truth_values() -> None:
    own = CacheSettings(status_headers=True, ignore_request_cache_control=True)
    rules = RouteCache(status_headers=False)

    found = settings_of(own, rules)
    assert (found.status_headers, found.ignore_request_cache_control) == (False, True)


@pytest.mark.parametrize(
    ("rules", "names", "lacks"),
    [
        (RouteCache(), ["MemoryLevel", "DictLevel"], ()),
        (RouteCache(levels=("l1",)), ["MemoryLevel"], ()),
        (RouteCache(levels=("l2",)), ["AbsentLevel", "DictLevel"], ()),
        (RouteCache(levels=("l2", "l1")), ["MemoryLevel", "DictLevel"], ()),
    ],
)
def test_levels_in_use(rules: RouteCache, names: list[str], lacks: tuple[str, ...]) -> None:
    assert [type(level).__name__ for level in levels_of(LEVELS, rules)] == names
    assert lacking(LEVELS, rules) == lacks


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        (RouteCache(), ["l1", "warm", "l2"]),
        (RouteCache(levels=("l1",)), ["l1", "warm"]),
        (RouteCache(levels=("l2",)), ["", "l2"]),
    ],
)
def test_what_neighbours_sent_is_used_where_memory_is(rules: RouteCache, names: list[str]) -> None:
    """It is in this process as well, and no route names it."""
    warm = WarmLevel(1 << 20, LoopClock(), Silence())
    found = levels_of((LEVELS[0], warm, *LEVELS[1:]), rules)

    assert [level.name if level.has_room else "" for level in found[:1]] + [
        level.name for level in found[1:]
    ] == names


def test_a_level_that_is_not_here() -> None:
    assert lacking(LEVELS[:1], RouteCache(levels=("l1", "l2"))) == ("l2",)
