"""What features are kept with."""

from __future__ import annotations

import msgspec
import pytest

from cache.features.computed import FeatureScope
from cache.features.computed_settings import FeatureSettings, open_features
from cache.levels.level import LevelError, LevelParts
from cache.levels.redis_settings import RedisSettings
from cache.settings import CacheSettings
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from tests.fakes.telemetry import RecordingTelemetry

SCOPE = FeatureScope(per_tenant=True, instruction_set="avx2")
REDIS = RedisSettings(url="redis://127.0.0.1:9/0")


def opened(settings: FeatureSettings, redis: RedisSettings | None = None):
    gates: list[str] = []

    def gate(name, _settings):
        gates.append(name)
        return OpenGate()

    parts = LevelParts(gate, LoopClock(), RecordingTelemetry())
    store, levels = open_features(settings, redis, parts, key_secrets=(None,), scope=SCOPE)
    return store, levels, gates


def test_settings_of_the_version_before_keep_features():
    """What says nothing has the defaults, and nothing is taken before a model needs it."""
    settings = msgspec.convert({"ttl_s": 60}, CacheSettings).features

    assert (settings.enabled, settings.max_bytes, settings.redis) == (True, 64 << 20, True)


@pytest.mark.parametrize("wrong", [{"max_bytes": 1}, {"ttl_s": 0}, {"redis": "yes"}, {"size": 3}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"features": wrong}, CacheSettings)


async def test_levels_have_names_a_gate_and_a_namespace_of_their_own():
    """Redis within the cache's namespace, so that an ACL that is bound to it covers both."""
    store, levels, gates = opened(FeatureSettings(max_bytes=1 << 20), REDIS)

    assert [level.name for level in levels] == ["l3", "l3_redis"]
    assert gates == ["redis l3_redis"]
    assert "edgeway:features:" in repr(levels[1])
    assert "of 1.0 MiB" in repr(levels[0])
    assert repr(store).startswith("<ComputedFeatures <MemoryLevel")
    await store.aclose()


@pytest.mark.parametrize(
    ("settings", "redis"), [(FeatureSettings(redis=False), REDIS), (FeatureSettings(), None)]
)
def test_redis_is_left_out_where_it_is_not_wanted(settings, redis):
    assert len(opened(settings, redis)[1]) == 1


def test_a_url_that_cannot_be_used_is_an_error():
    with pytest.raises(LevelError):
        opened(FeatureSettings(), RedisSettings(url="redis://127.0.0.1:port/0"))
