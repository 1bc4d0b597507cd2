"""The load whose shares of caches are told, and how they are counted."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests.shares import FRESH_SHARE, ITEMS, LoadResult, pictures, source_of, stream


def test_the_load_is_its_seeds() -> None:
    """A fifth of it is asked for once, by no other seed either; the rest is among the known pictures."""
    numbers, again, other = stream(5000, 11), stream(5000, 11), stream(5000, 12)
    fresh, fresh_of_other = (set(found[found >= ITEMS].tolist()) for found in (numbers, other))

    assert np.array_equal(numbers, again)
    assert len(fresh) == int((numbers >= ITEMS).sum())
    assert len(fresh) / 5000 == pytest.approx(FRESH_SHARE, abs=0.02)
    assert fresh.isdisjoint(fresh_of_other)
    assert numbers.max() < 1 << 20


def test_equal_numbers_are_equal_pictures_and_no_others_are() -> None:
    numbers = np.array([0, 1, 1023, 1024, ITEMS, (1 << 20) - 1, 1])
    drawn = [picture.tobytes() for picture in pictures(numbers)]

    assert drawn[1] == drawn[6]
    assert len(set(drawn)) == 6


@pytest.mark.parametrize(
    ("provenance", "source"),
    [
        ("cache;level=l1;origin=central", "l1"),
        ("cache;level=l2;origin=edge;stale", "l2"),
        ("central", "central"),
        ("", ""),
    ],
)
def test_where_an_answer_came_from(provenance: str, source: str) -> None:
    assert source_of(provenance) == source


def test_shares_and_times() -> None:
    asked = LoadResult()
    assert asked.share("l1") == 0.0

    asked.sources.update(["l1", "l1", "central", "l2"])
    asked.seconds += [0.001, 0.002, 0.003]

    assert (asked.share("l1"), asked.share("central")) == (0.5, 0.25)
    assert asked.ms(0.5) == 2.0
