"""Loads of priority levels: the tables of Envoy's documentation, and what holds of any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.rules.priority import is_panic, level_health, priority_loads


@pytest.mark.parametrize(
    ("healthy", "loads"),
    [
        # Percent of each level's members that are well → percent of the load (Envoy: priority levels).
        ((100, 100), (100, 0)),
        ((72, 100), (100, 0)),
        ((71, 100), (99, 1)),
        ((50, 100), (70, 30)),
        ((25, 100), (35, 65)),
        ((0, 100), (0, 100)),
        ((25, 25), (50, 50)),
        ((100, 100, 100), (100, 0, 0)),
        ((72, 72, 100), (100, 0, 0)),
        ((71, 71, 100), (99, 1, 0)),
        ((50, 50, 100), (70, 30, 0)),
        ((25, 100, 100), (35, 65, 0)),
        ((25, 25, 100), (35, 35, 30)),
        ((20, 20, 10), (40, 40, 20)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_envoys_tables(healthy: tuple[int, ...], loads: tuple[int, ...]):
    assert priority_loads([(each, 100) for each in healthy]) == loads


Level = st.integers(0, 50).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))


@given(st.lists(Level, max_size=8), st.integers(100, 1000))
def test_all_of_it_and_nothing_to_what_is_out(levels: list[tuple[int, int]], factor: int):
    loads = priority_loads(levels, factor)
    assert sum(loads) == (100 if any(level_health(*level, factor) for level in levels) else 0)
    assert all(load == 0 for load, (well, _) in zip(loads, levels, strict=True) if not well)


@given(st.lists(Level, min_size=1, max_size=8))
def test_an_earlier_level_has_what_it_can_carry_first(levels: list[tuple[int, int]]):
    loads = priority_loads(levels)
    health = [level_health(*level, 140) for level in levels]
    if sum(health) >= 100:
        for number, load in enumerate(loads):
            assert load == min(health[number], 100 - sum(loads[:number]))


def test_panic():
    assert is_panic(4, 10, 50)
    assert not is_panic(5, 10, 50)
    assert not is_panic(0, 10, 0)
    assert not is_panic(0, 0, 50)
