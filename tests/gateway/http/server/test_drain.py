"""The end of a listener."""

from __future__ import annotations

from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.drain import ConnectionDrain
from gateway.http.server.registry import ConnectionRegistry
from gateway.http.server.settings import TransportSettings
from tests.fakes.connection import FakeConnection, register


async def test_every_connection_is_drained():
    """And whoever comes later can see that it is too late."""
    registry, known = ConnectionRegistry(), FakeConnection()
    register(registry, AddressLimits(TransportSettings()), known)
    drain = ConnectionDrain(registry)
    assert (drain.is_active, repr(drain)) == (False, "<ConnectionDrain not begun>")
    drain.begin()

    assert (drain.is_active, known.calls, repr(drain)) == (True, ["drain"], "<ConnectionDrain active>")
