"""What every listener is handed."""

from __future__ import annotations

import dataclasses

import pytest

from tests.fakes.data_plane import EchoService, fake_data_plane


def test_a_front_does_not_change():
    """Listeners may keep parts of it: only ``generation`` and ``is_ready`` answer anew."""
    data_plane = fake_data_plane(EchoService())

    with pytest.raises(dataclasses.FrozenInstanceError):
        data_plane.region = "elsewhere"
    assert data_plane.max_body_bytes == 64 << 20
