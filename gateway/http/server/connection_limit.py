"""One limit for the connections of several listeners."""

from __future__ import annotations

from collections.abc import Sized

from gateway.http.server.registry import ConnectionRegistry


class ConnectionLimit:
    """``most``: connections that all listeners together may have open, so that files are left for others."""

    def __init__(self, most: int) -> None:
        self.most = most
        # Each with the connections that are not registered yet.
        self._open: dict[ConnectionRegistry, Sized] = {}

    def __repr__(self) -> str:
        return f"<ConnectionLimit, {self._count()} of {self.most}>"

    @property
    def registries(self) -> tuple[ConnectionRegistry, ...]:
        """The registered connections of each listener."""
        return tuple(self._open)

    def count(self, registry: ConnectionRegistry, unregistered: Sized) -> None:
        """Count the connections of a listener from now on, as many as there are at each time."""
        self._open[registry] = unregistered

    def forget(self, registry: ConnectionRegistry) -> None:
        """Count them no more: the listener has closed."""
        self._open.pop(registry, None)

    def is_reached(self) -> bool:
        """Whether there are as many as there may be."""
        return self._count() >= self.most

    def _count(self) -> int:
        return sum([len(registry) + len(unregistered) for registry, unregistered in self._open.items()])
