"""How hit ratios of caches are compared."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from cache.simulation.lru import LruCache
from loadtests.bench.caching import OURS, POLICIES, regrets, replay
from loadtests.bench.families import HELD, KEYS, LOOKUPS, SIZE, Family, families
from loadtests.peers import replaying


def test_families_are_what_they_are_called() -> None:
    """And the same for the same seed."""
    found = families(1)
    assert list(found) == ["zipf", "one-hit wonders", "scans", "drifting hot set", "mixed sizes"]
    assert found == families(1)
    assert found["zipf"] != families(2)["zipf"]
    wonders = found["one-hit wonders"].keys
    once = sum(key >= KEYS for key in wonders)
    assert once / len(wonders) == pytest.approx(0.3, abs=0.02)
    assert len(found["scans"].keys) == LOOKUPS + 10 * 2 * HELD
    mixed = found["mixed sizes"]
    assert max(map(mixed.size, mixed.keys)) > 20 * min(map(mixed.size, mixed.keys))
    assert found["zipf"].size(3) == SIZE


def test_a_replay_gives_what_was_missed() -> None:
    """Room for two hundred in a loop of a hundred: all but the first round are hits."""
    family = Family(tuple(range(100)) * 4, max_bytes=200 * SIZE)
    assert {name: replay(make(family.max_bytes), family) for name, make in POLICIES.items()} == {
        OURS: 0.75,
        "lru": 0.75,
        "sieve": 0.75,
    }
    assert replay(LruCache(50 * SIZE), family) == 0


def test_regret_is_in_points_against_the_best_of_the_others() -> None:
    """Where ours is the best it is below 0."""
    ratios = {"a": {OURS: 0.5, "lru": 0.4, "moka": 0.515}, "b": {OURS: 0.5, "lru": 0.4}}
    assert regrets(ratios) == pytest.approx({"a": 1.5, "b": -10.0})


def test_libraries_are_given_the_same_bytes(monkeypatch, tmp_path: Path) -> None:
    """Stand-ins for both, which hold everything; what weighs nothing is only given equal sizes."""
    made: list[int] = []

    class Held(dict[int, int]):
        def __init__(self, most: int, **_: object) -> None:
            made.append(most)

        def set(self, key: int, size: int) -> None:
            self[key] = size

    class Counted(Held):
        def get(self, key: int, default: object = None) -> object:  # type: ignore[override]
            return super().get(key), key in self

    monkeypatch.setitem(__import__("sys").modules, "moka_py", SimpleNamespace(Moka=Held))
    monkeypatch.setitem(__import__("sys").modules, "theine", SimpleNamespace(Cache=Counted))
    equal = json.loads(json.dumps({"keys": (1, 2, 1, 1), "sizes": [10] * 4, "max_bytes": 100}))
    mixed = {**equal, "sizes": [10, 20, 10, 10]}
    assert replaying.replay("moka", equal) == replaying.replay("theine", equal) == 0.5
    assert replaying.replay("moka", mixed) == 0.5
    assert replaying.replay("theine", mixed) is None
    assert made == [100, 10, 100]
