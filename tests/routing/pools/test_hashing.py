"""Hashes that every gateway computes alike."""

from __future__ import annotations

import numpy as np

from routing.pools.hashing import hash_of, points_of

HASH = 3405396810240292928
POINTS = [7122455376241288168, 4099320643461804018]


def places(name: str, count: int) -> list[int]:
    return points_of([name], [count]).tolist()


def test_are_the_same_in_every_process_and_version():
    """Gateways of different versions send a key to the same member."""
    assert hash_of(b"a") == HASH
    assert points_of(["10.0.0.1:8001"], [2]).tolist() == POINTS


def test_fewer_points_are_the_first_of_more():
    assert places("a:1", 500)[:100] == places("a:1", 100)


def test_the_places_of_several_names_stand_one_behind_the_other():
    both = points_of(["a:1", "b:1"], [3, 5]).tolist()
    assert both == places("a:1", 3) + places("b:1", 5)


def test_names_and_purposes_have_nothing_to_do_with_each_other():
    assert len(set(places("a:1", 1000) + places("b:1", 1000))) == 2000
    assert hash_of(b"a", b"x") != hash_of(b"a", b"y") != hash_of(b"a")


def test_points_lie_evenly():
    points = points_of(["a:1"], [10_000])
    counts, _ = np.histogram(points.astype(np.float64), bins=10, range=(0, 2.0**64))
    assert counts.min() > 900
    assert counts.max() < 1100
