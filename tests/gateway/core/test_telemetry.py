"""Silence."""

from __future__ import annotations

import pytest

from gateway.core.telemetry import PolicyLoaded, Silence


def test_silence_takes_no_note() -> None:
    """Where nobody listens an event costs a call."""
    assert Silence().emit(PolicyLoaded(1, "")) is None


def test_events_are_frozen() -> None:
    """An event that is made once can be emitted for ever."""
    with pytest.raises(AttributeError):
        PolicyLoaded(1, "").generation = 2
