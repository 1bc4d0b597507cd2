"""The end of a listener: connections end as soon as their requests are answered."""

from __future__ import annotations

from typing import Final

from gateway.http.server.registry import ConnectionRegistry

DRAIN_SILENCE_S: Final = 1.0
"""A connection without a request is closed this long after the drain began."""

DRAIN_HEADERS_S: Final = 2.0
"""As long after it began, request headers that are coming must have come."""


class ConnectionDrain:
    """``is_active``: every connection ends as soon as it can, and new ones are not taken."""

    __slots__ = ("_registry", "is_active")

    def __init__(self, registry: ConnectionRegistry) -> None:
        self._registry = registry
        self.is_active = False

    def __repr__(self) -> str:
        return f"<ConnectionDrain {'active' if self.is_active else 'not begun'}>"

    def begin(self) -> None:
        """Let every connection end as soon as it can."""
        self.is_active = True
        self._registry.drain()
