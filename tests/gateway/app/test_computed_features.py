"""Assembly of what keeps features."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.computed_features import open_computed
from gateway.app.errors import StartError
from gateway.app.foundation import open_foundation
from tests.gateway.app.processes import CENTRAL, EDGE, settings

MEMORY = "cache: {memory: {max_bytes: 1048576}}"


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        (EDGE, 1),
        (EDGE.replace(MEMORY, ""), 0),
        (EDGE.replace(MEMORY, "cache: {features: {enabled: false}}"), 0),
        (EDGE.replace(MEMORY, "cache: {redis: {url: 'redis://127.0.0.1:9/0'}}"), 2),
        (EDGE.replace(MEMORY, "cache: {redis: {url: 'redis://127.0.0.1:9/0'}, features: {redis: false}}"), 1),
        (CENTRAL, 0),
    ],
)
async def test_features_are_kept_where_there_is_a_cache_and_models(tmp_path: Path, text: str, levels: int):
    """With a breaker of its own in front of Redis, in the metrics."""
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, text), lifetimes)

        found = open_computed(foundation, lifetimes)

        assert len(found.levels if found else ()) == levels
        assert set(found.gates if found else ()) == ({"redis l3_redis"} if levels == 2 else set())
        assert (b'endpoint="redis l3_redis"' in foundation.prometheus.render()) is (levels == 2)


async def test_a_url_that_cannot_be_used_is_told_without_its_password(tmp_path: Path):
    text = EDGE.replace(MEMORY, "cache: {redis: {url: 'redis://:secret@127.0.0.1:port/0'}}")
    async with AsyncExitStack() as lifetimes:
        foundation = open_foundation(settings(tmp_path, text), lifetimes)
        with pytest.raises(StartError) as error:
            open_computed(foundation, lifetimes)

    assert "secret" not in str(error.value)
