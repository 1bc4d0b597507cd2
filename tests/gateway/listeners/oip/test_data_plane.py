"""What every listener is handed."""

from __future__ import annotations

import dataclasses

import pytest

from tests.fakes.data_plane import EchoService, fake_data_plane


def test_a_front_does_not_change():
    """Listeners may keep parts of it: only ``generation`` and ``is_ready`` answer anew."""
    front = fake_data_plane(EchoService())

    with pytest.raises(dataclasses.FrozenInstanceError):
        front.region = "elsewhere"
    assert front.max_body_bytes == 64 << 20
