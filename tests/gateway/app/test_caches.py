"""Assembly of the cache."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from cache.levels import redis_settings
from gateway.app.caches import open_cache
from gateway.app.errors import StartError
from gateway.app.foundation import open_foundation
from gateway.core.gate import GateSettings
from tests.gateway.app.processes import EDGE, settings

MEMORY = "cache: {memory: {max_bytes: 1048576}}"
SHUT = b'edgeway_breaker_state{endpoint="redis"} 2.0'


def with_redis(url: str) -> str:
    return EDGE.replace(MEMORY, f"cache: {{redis: {{url: '{url}'}}}}")


async def test_levels_are_those_of_the_settings(tmp_path: Path) -> None:
    """None without a cache; Redis only where it is named, and its breaker is in the metrics."""
    async with AsyncExitStack() as lifetimes:
        for text, num_levels in (
            (EDGE.replace(MEMORY, ""), 0),
            (EDGE, 1),
            (with_redis("redis://127.0.0.1:9/0"), 2),
        ):
            foundation = open_foundation(settings(tmp_path, text), lifetimes)

            cache = open_cache(foundation, "avx2", lifetimes)

            assert (len(cache.levels) if cache else 0) == num_levels
            assert (b'endpoint="redis"' in foundation.prometheus.render()) is (num_levels == 2)
            assert cache is None or cache.instruction_set == "avx2"


async def test_a_level_chooses_when_its_gate_shuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many failures in a row as its settings have; nobody listens at its address."""
    monkeypatch.setattr(redis_settings, "GATE", GateSettings(2, 60.0, 60.0))
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, with_redis("redis://127.0.0.1:9/0")), lifetimes)
        cache = open_cache(foundation, "avx2", lifetimes)
        assert cache is not None
        shut = []
        for _ in range(3):
            await cache.levels[1].get(b"k" * 32)
            shut.append(SHUT in foundation.prometheus.render())

    assert shut == [False, True, True]


@pytest.mark.parametrize("url", ["redis://:pass word@[::1", "redis://:secret@127.0.0.1:port/0"])
async def test_a_url_that_cannot_be_used_is_not_repeated(tmp_path: Path, url: str) -> None:
    """It may hold the password."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, with_redis(url)), lifetimes)
        with pytest.raises(StartError, match=r"cache\.redis\.url cannot be used") as caught:
            open_cache(foundation, "none", lifetimes)

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
