"""Settings of the listeners."""

from __future__ import annotations

import msgspec
import pytest

from gateway.listeners.settings import HttpSettings


def test_defaults():
    """The defaults are those that the docstrings name."""
    assert HttpSettings() == HttpSettings(
        body_timeout_s=30, keepalive_timeout_s=75, lingering_s=5, backlog=1024
    )


@pytest.mark.parametrize(
    "raw", ['{"body_timeout_s":0}', '{"keepalive_timeout_s":-1}', '{"backlog":0}', '{"patience":1}']
)
def test_nonsense_is_refused(raw):
    """Ranges hold, and an unknown field is an error."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=HttpSettings)
