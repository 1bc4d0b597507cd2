"""The settings refuse what cannot work, and keep secrets out of logs."""

from __future__ import annotations

import msgspec
import pytest

from cache.levels.redis_settings import RedisSettings
from cache.settings import CacheSettings


def test_defaults_are_those_of_the_documentation() -> None:
    """An empty section is a cache of 256 MiB for an hour, without Redis."""
    settings = msgspec.convert({}, CacheSettings)

    assert settings.memory.max_bytes == 256 * 1024 * 1024
    assert settings.redis is None
    assert (settings.ttl_s, settings.jitter, settings.early_beta) == (3600, 0.1, 1)
    assert (settings.uncertified_ttl_s, settings.stale_if_error_s) == (5, 60)


def test_redis_needs_only_a_url() -> None:
    """All but the URL of Redis has a default from the field."""
    settings = msgspec.convert({"redis": {"url": "redis://cache:6379/0"}}, CacheSettings).redis

    assert settings is not None
    assert (settings.timeout_ms, settings.max_connections, settings.max_value_bytes) == (30, 32, 1 << 20)
    assert settings.namespace == "edgeway"


@pytest.mark.parametrize(
    "section",
    [
        {"redis": {"url": "http://cache"}},
        {"redis": {"url": "redis://cache", "timeout_ms": 0}},
        {"redis": {"url": "redis://cache", "timeout_ms": 1001}},
        {"redis": {"url": "redis://cache", "max_connections": 1}},
        {"redis": {"url": "redis://cache", "namespace": "a b"}},
        {"redis": {}},
        {"memory": {"max_bytes": 10}},
        {"ttl_s": 0},
        {"uncertified_ttl_s": 6},
        {"jitter": 0.6},
        {"scope": "everyone"},
        {"key_secret": "not hex"},
        {"key_secret": "abcd"},
        {"ttl": 5},
    ],
)
def test_out_of_range_is_refused(section: dict[str, object]) -> None:
    """What is out of range, or unknown, is an error and never a default."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(section, CacheSettings)


def test_secrets_stay_out_of_the_repr() -> None:
    """Neither the key secret nor the password of Redis shows when settings are printed."""
    redis = RedisSettings(url="redis://user:hunter2@cache/0")
    settings = CacheSettings(redis=redis, key_secret="ab" * 16)

    assert "hunter2" not in repr(settings)
    assert "abab" not in repr(settings)
    assert repr(redis) == "<RedisSettings edgeway, 30 ms>"
