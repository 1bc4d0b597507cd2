"""Recorded look-ups in caches of other sizes and policies."""

from __future__ import annotations

import itertools
import random

import pytest

from cache.request_log.lines import LoggedLookup
from cache.request_log.replay import POLICIES, Replay, SimulatedRatio

MIB = 1 << 20


def zipf(count: int, keys: int = 5000) -> list[str]:
    weights = list(itertools.accumulate(1 / (rank + 1) ** 0.9 for rank in range(keys)))
    return [f"k{rank}" for rank in random.Random(7).choices(range(keys), cum_weights=weights, k=count)]


def replayed(replay: Replay, keys: list[str], **fields) -> list[float]:
    for key in keys:
        assert not replay.add(LoggedLookup(key, 2000, **fields))
    return [outcome.hit_ratio for outcome in replay.outcomes()]


def test_more_bytes_give_more_hits() -> None:
    """For every policy; in the order of the sizes, and of the policies in each."""
    replay = Replay([MIB, 4 * MIB], ["s3fifo", "lru"])
    assert replay.outcomes() == []
    small, small_lru, large, large_lru = replayed(replay, zipf(20_000))
    assert small_lru < small < large
    assert small_lru < large_lru
    assert [(each.policy, each.max_bytes) for each in replay.outcomes()] == [
        ("s3fifo", MIB),
        ("lru", MIB),
        ("s3fifo", 4 * MIB),
        ("lru", 4 * MIB),
    ]
    assert "20000 look-ups in 4 caches" in repr(replay)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_may_not_be_kept_and_what_has_expired_is_a_miss(policy: str) -> None:
    """An answer lives as long as its line says, from when it was computed."""
    replay = Replay([MIB], [policy])
    for time, size in ((0, 0), (1, 0), (2, 900), (11, 900), (12, 900), (13, 900)):
        replay.add(LoggedLookup("a", size, time=time, ttl_s=10, outcome="hit" if time == 11 else "miss"))
    assert replay.outcomes() == [SimulatedRatio(policy, MIB, 2 / 6)]
    assert (replay.not_kept, replay.recorded_hits) == (2, 1)


def test_a_sample_of_the_keys_is_replayed_in_its_share_of_the_bytes() -> None:
    """So its hit ratio is about that of all keys in all bytes; without the share it would be far higher."""
    keys = zipf(60_000)
    (whole,) = replayed(Replay([4 * MIB], ["lru"]), keys)
    part = Replay([4 * MIB], ["lru"], share=0.25)
    (sampled,) = replayed(part, keys)
    assert 0 < part.lookups < 40_000
    (logged,) = replayed(
        Replay([16 * MIB], ["lru"]), [key for key in keys if int(key[1:]) % 4 == 3], sample=0.25
    )
    assert sampled == pytest.approx(whole, abs=0.08)
    assert logged == pytest.approx(whole, abs=0.4)


def test_a_log_has_one_sample() -> None:
    """A line of another is refused, and says so."""
    replay = Replay([MIB], ["lru"])
    assert not replay.add(LoggedLookup("a", 1, sample=0.5))
    assert "`sample` is 1, and 0.5 in the lines before" in replay.add(LoggedLookup("b", 1))
    assert replay.lookups == 1


def test_too_large_for_the_share_of_the_bytes_is_counted() -> None:
    """It would fit the cache itself."""
    replay = Replay([MIB], ["lru"])
    for size in (5_000, 20_000, 90_000, 200_000):
        replay.add(LoggedLookup("a", size, sample=0.1))
    assert replay.refused == 2
