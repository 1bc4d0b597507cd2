"""The settings of L2."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from cache.levels.redis_settings import RedisSettings


def test_no_password_is_shown() -> None:
    """Settings are printed into logs and error messages."""
    settings = RedisSettings(url="rediss://:secret@cache:6379/0", timeout_ms=20)

    assert repr(settings) == "<RedisSettings edgeway, 20 ms>"


def test_reading_settings_imports_no_client() -> None:
    """Who only checks a policy or a settings file needs no redis-py."""
    program = "import sys; sys.modules['redis'] = None; import cache.settings"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    "url", ["redis+sentinel://127.0.0.1:1/main", "redis+cluster://127.0.0.1:1", "rediss+cluster://localhost"]
)
def test_servers_that_name_others_are_not_local(url: str) -> None:
    """They may name one anywhere, so a secret is needed."""
    assert not RedisSettings(url=url).is_local


def test_shapes_that_there_are_not_are_refused() -> None:
    for url in ("redis+ring://a", "unix+cluster:///a", "http://a"):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"url": url}, RedisSettings)
