"""A connection as the registry knows it."""

from __future__ import annotations

from gateway.http.server.address_limits import AddressLimits, AddressUsage
from gateway.http.server.registry import ConnectionRegistry


class FakeConnection:
    """Notes what is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def sweep(self, now: float) -> None:
        self.calls.append("sweep")

    def drain(self) -> None:
        self.calls.append("drain")

    def abort(self) -> None:
        self.calls.append("abort")


def register(registry: ConnectionRegistry, limits: AddressLimits, connection: FakeConnection) -> AddressUsage:
    """Add a connection of the address "a", which is counted."""
    usage = limits.of("a")
    assert usage.admit()
    registry.add(connection, usage)
    return usage
