"""Settings of invalidation."""

from __future__ import annotations

import msgspec
import pytest

from cache.invalidation.settings import InvalidationSettings


def test_urls_are_not_shown() -> None:
    """They may hold passwords."""
    settings = InvalidationSettings(redis={"eu": "redis://:secret@10.0.0.1:6379/0"})

    assert "secret" not in repr(settings)
    assert "eu" in repr(settings)


def test_times_that_contradict_one_another_are_refused() -> None:
    """A log that is read as often as the settings say must not count as out of reach."""
    with pytest.raises(ValueError, match="raise max_staleness_s"):
        InvalidationSettings(redis={"eu": "redis://h"}, max_staleness_s=2, timeout_ms=2000)


@pytest.mark.parametrize("text", ["{}", '{"redis": {}}', '{"redis": {"eu": "http://h"}}'])
def test_what_cannot_be_one_is_refused(text: str) -> None:
    """No region, or no Redis."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=InvalidationSettings)
