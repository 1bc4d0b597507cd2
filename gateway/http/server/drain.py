"""Draining a listener: each connection ends when its requests are answered."""

from __future__ import annotations

from typing import Final

from gateway.http.server.registry import ConnectionRegistry

DRAIN_SILENCE_S: Final = 1.0
"""Seconds after the drain began until connections without a request are closed."""

DRAIN_HEADERS_S: Final = 2.0
"""Seconds after the drain began until request headers that are on their way must be complete."""


class ConnectionDrain:
    """``is_active``: connections end when their requests are answered, and no new one is accepted."""

    __slots__ = ("_registry", "is_active")

    def __init__(self, registry: ConnectionRegistry) -> None:
        self._registry = registry
        self.is_active = False

    def __repr__(self) -> str:
        return f"<ConnectionDrain {'active' if self.is_active else 'not begun'}>"

    def begin(self) -> None:
        """Let every connection end when its requests are answered."""
        self.is_active = True
        self._registry.drain()
