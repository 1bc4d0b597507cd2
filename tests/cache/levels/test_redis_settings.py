"""The settings of L2."""

from __future__ import annotations

import subprocess
import sys

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
