"""Whether a peer takes what waits for it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from gateway.http.server.settings import TransportSettings
from gateway.http.tcp_info import bytes_acknowledged


class WriteProgress:
    """Looks at a transport from ``watch`` on: in each ``write_timeout_s`` the peer has to take something.

    That is ``least_taken`` of what waits, or all, whereupon its owner does ``rest``. The kernel knows best
    what was taken, under TLS, too, and however much it holds itself; where it does not
    say, what the transport still has shows it.
    """

    __slots__ = ("_acknowledged", "_settings", "_since", "_socket", "_transport", "_waits")

    def __init__(self, transport: asyncio.Transport, settings: TransportSettings) -> None:
        self._transport, self._settings = transport, settings
        self._socket: Any = None
        self._acknowledged = self._waits = 0
        self._since = math.inf

    def __repr__(self) -> str:
        return f"<WriteProgress {'watched' if self.is_watched else 'at rest'}>"

    @property
    def is_watched(self) -> bool:
        """Whether it looks."""
        return self._since != math.inf

    def watch(self, now: float) -> None:
        """Look from loop time ``now`` on."""
        self._socket = self._transport.get_extra_info("socket")
        self._mark(now)

    def rest(self) -> None:
        """Look no more: nothing waits."""
        self._since = math.inf

    def is_stuck(self, now: float) -> bool:
        """Whether the peer has taken too little for too long."""
        if not self.is_watched:
            return False
        acknowledged = bytes_acknowledged(self._socket) or 0
        taken = max(acknowledged - self._acknowledged, self._waits - self._transport.get_write_buffer_size())
        if taken >= least_taken(self._settings):
            self._mark(now)
        return now - self._since > self._settings.write_timeout_s

    def _mark(self, now: float) -> None:
        self._acknowledged = bytes_acknowledged(self._socket) or 0
        self._waits = self._transport.get_write_buffer_size()
        self._since = now


def least_taken(settings: TransportSettings) -> float:
    """Return the bytes that a peer has to take in each ``write_timeout_s``."""
    return settings.min_body_bytes_per_s * settings.write_timeout_s
