"""The settings refuse what cannot work, and keep secrets out of logs."""

from __future__ import annotations

import time

import msgspec
import pytest
from msgspec.structs import replace

from cache.levels.level import LevelParts
from cache.levels.redis_settings import RedisSettings
from cache.settings import CacheSettings
from gateway.core.clock import LoopClock
from gateway.core.gate import OpenGate
from gateway.core.telemetry import Silence
from tests.cache.build import entry
from tests.fakes.redis_server import RedisServer
from tests.fakes.telemetry import RecordingTelemetry


def test_defaults_are_those_of_the_documentation() -> None:
    """An empty section is a cache of 256 MiB for an hour, without Redis."""
    settings = msgspec.convert({}, CacheSettings)

    assert settings.memory.max_bytes == 256 * 1024 * 1024
    assert settings.redis is None
    assert (settings.ttl_s, settings.jitter, settings.early_beta) == (3600, 0.1, 1)
    assert (settings.uncertified_ttl_s, settings.stale_if_error_s) == (5, 60)


def test_redis_needs_only_a_url() -> None:
    """All but the URL of Redis has a default from the field."""
    section = {"redis": {"url": "redis://cache:6379/0"}, "key_secret": "ab" * 16}
    settings = msgspec.convert(section, CacheSettings).redis

    assert settings is not None
    assert (settings.timeout_ms, settings.max_connections, settings.max_value_bytes) == (30, 32, 1 << 20)
    assert settings.connect_timeout_ms == 1000
    assert settings.namespace == "edgeway"


@pytest.mark.parametrize(
    "section",
    [
        {"redis": {"url": "http://cache"}},
        {"redis": {"url": "redis://127.0.0.1", "timeout_ms": 0}},
        {"redis": {"url": "redis://127.0.0.1", "timeout_ms": 1001}},
        {"redis": {"url": "redis://127.0.0.1", "max_connections": 1}},
        {"redis": {"url": "redis://127.0.0.1", "namespace": "a b"}},
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


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache",
        "rediss://cache:6380/0?ssl_cert_reqs=none",
        "redis://10.0.0.7:6379",
        "redis://0.0.0.0",
        "redis://[::]",
        "redis://[fe80::1%25lo]",
        "redis://[::ffff:10.0.0.7]",
        "redis://127.1",
        "redis://2130706433",
        "redis://localhost.example.com",
        "redis://127.0.0.1.example.com",
        "redis://127.0.0.1@cache/0",
        "redis://%31%30.0.0.7",
        "redis:///0?host=cache",
    ],
)
def test_a_redis_elsewhere_needs_a_secret(url: str) -> None:
    """Whoever can write there could forge answers; the refusal says what to do and nothing of the URL."""
    url = url.replace("//", "//:hunter2@") if "@" not in url else url
    with pytest.raises(msgspec.ValidationError, match=r"key_secret is missing.*openssl rand") as caught:
        msgspec.convert({"redis": {"url": url}}, CacheSettings)

    assert "hunter2" not in str(caught.value)
    assert msgspec.convert({"redis": {"url": url}, "key_secret": "ab" * 16}, CacheSettings).redis


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://localhost",
        "redis://LOCALHOST.:6379",
        "redis://redis.localhost",
        "redis://127.0.0.1",
        "redis://127.8.9.10:1",
        "redis://[::1]",
        "redis://[::ffff:127.0.0.1]",
        "rediss://user:pass@127.0.0.1/0",
        "redis://127.0.0.1/0?host=cache",
        "unix:///run/redis.sock",
    ],
)
def test_a_redis_of_this_machine_needs_none(url: str) -> None:
    """Loopback and Unix sockets: a warning at start is enough."""
    assert msgspec.convert({"redis": {"url": url}}, CacheSettings).redis


def test_no_later_change_gets_round_it() -> None:
    """What a policy or a test replaces is checked as what a file says."""
    settings = CacheSettings(redis=RedisSettings(url="redis://cache"), key_secret="ab" * 16)

    with pytest.raises(ValueError, match="key_secret is missing"):
        replace(settings, key_secret=None)


@pytest.mark.parametrize(("secret", "warnings"), [(None, 1), ("ab" * 16, 0)])
def test_levels_without_a_secret_say_so(
    secret: str | None, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, at start."""
    settings = CacheSettings(redis=RedisSettings(url="redis://127.0.0.1:1/0"), key_secret=secret)
    settings.open_levels(LevelParts(lambda _name, _settings: OpenGate(), LoopClock(), Silence()))

    assert sum("key_secret is not set" in record.getMessage() for record in caplog.records) == warnings


@pytest.mark.redis
async def test_values_are_found_after_the_secret_has_changed(
    shared_redis: RedisServer, telemetry: RecordingTelemetry
) -> None:
    """Under the settings of all three rounds; a secret that stands twice is looked for once."""
    redis = RedisSettings(url=shared_redis.url, timeout_ms=1000)
    old, new = "ab" * 16, "cd" * 16
    parts = LevelParts(lambda _name, _settings: OpenGate(), LoopClock(), telemetry)
    settings = [
        CacheSettings(redis=redis, key_secret=old, previous_key_secrets=(new, old)),
        CacheSettings(redis=redis, key_secret=new, previous_key_secrets=(old,)),
        CacheSettings(redis=redis, key_secret=new),
    ]
    levels = [each.open_levels(parts)[1] for each in settings]
    await levels[0].put(bytes(32), entry(now=time.time()))
    await levels[0].aclose()

    assert await levels[1].get(bytes(32)) is not None
    assert await levels[2].get(bytes(32)) is None
    for level in levels[1:]:
        await level.aclose()


@pytest.mark.parametrize("secrets", [["not hex"], ["abcd"], ["ab" * 16] * 4])
def test_previous_secrets_are_secrets_and_few(secrets: list[str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"previous_key_secrets": secrets}, CacheSettings)
