"""The connections of a listener."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from gateway.http.server.address_limits import AddressUsage

_log = logging.getLogger(__name__)


class Connection(Protocol):
    """A connection as the registry knows it."""

    def sweep(self, now: float) -> None:
        """Check time limits at loop time ``now``, and end what has exceeded one."""
        ...

    def drain(self) -> None:
        """Take no new request; end when those under way are answered."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...

    def give_way(self) -> bool:
        """Close the connection for another's sake if no request is under way; return whether it does."""
        ...


class ConnectionRegistry:
    """Every open connection, with the usage of the address that it counts for."""

    def __init__(self) -> None:
        self._usages: dict[Connection, AddressUsage] = {}
        self._emptied = asyncio.Event()

    def __repr__(self) -> str:
        return f"<ConnectionRegistry, {len(self)} connections>"

    def __len__(self) -> int:
        return len(self._usages)

    @property
    def all(self) -> tuple[Connection, ...]:
        """The connections, the oldest first."""
        return tuple(self._usages)

    def usages(self) -> tuple[tuple[Connection, AddressUsage], ...]:
        """Return each connection with the usage that counts it, the oldest first."""
        return tuple(self._usages.items())

    def add(self, connection: Connection, usage: AddressUsage) -> None:
        """Add a connection; ``usage`` has counted it since it was accepted."""
        self._usages[connection] = usage

    def remove(self, connection: Connection) -> None:
        """Remove a connection, if it is registered."""
        usage = self._usages.pop(connection, None)
        if usage is None:
            return
        usage.connections -= 1
        if not self._usages:
            self._emptied.set()

    def replace(self, old: Connection, new: Connection) -> None:
        """Replace ``old`` by ``new``, which serves the same connection from now on."""
        self._usages[new] = self._usages.pop(old)

    def sweep(self, now: float) -> None:
        """Let every connection check its time limits at loop time ``now``."""
        for connection in self.all:
            try:
                connection.sweep(now)
            except Exception:  # noqa: BLE001 - one that fails must not switch off the limits of all
                _log.exception("a connection could not be swept, and ends")
                connection.abort()

    def drain(self) -> None:
        """Let every connection end when its requests are answered."""
        for connection in self.all:
            connection.drain()

    def abort(self) -> None:
        """Close every connection at once."""
        for connection in self.all:
            connection.abort()

    async def wait_until_empty(self, until: float) -> bool:
        """Wait for the last connection to end, at most until loop time ``until``; return whether it did."""
        self._emptied.clear()
        if not self._usages:
            return True
        try:
            async with asyncio.timeout_at(until):
                await self._emptied.wait()
        except TimeoutError:
            return False
        return True
