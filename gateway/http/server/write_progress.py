"""Whether a peer reads what was written for it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from gateway.http.server.settings import TransportSettings
from gateway.http.tcp_info import bytes_acknowledged


class WriteProgress:
    """Checks that the peer reads fast enough, from ``watch`` until it has read everything.

    In each ``write_timeout_s`` the peer has to read ``least_taken`` bytes; that it reads some, so that more
    is written, begins no new window. What counts is what the peer's kernel has acknowledged (TCP_INFO), which
    includes bytes in the buffers of this kernel and of TLS. Where that is not known, the size of the
    transport's buffer is used.
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
        """Whether the peer's reading is being checked."""
        return self._since != math.inf

    def watch(self, now: float) -> None:
        """Check from loop time ``now`` on, if that has not begun yet."""
        if not self.is_watched:
            self._socket = self._transport.get_extra_info("socket")
            self._mark(now)

    def is_stuck(self, now: float) -> bool:
        """Whether the peer has read too little for ``write_timeout_s``."""
        if not self.is_watched:
            return False
        waits = self._transport.get_write_buffer_size()
        if not (waits or self._transport.is_closing()):
            self._since = math.inf
            return False
        acknowledged = bytes_acknowledged(self._socket) or 0
        taken = max(acknowledged - self._acknowledged, self._waits - waits)
        if taken >= least_taken(self._settings):
            self._mark(now)
        return now - self._since > self._settings.write_timeout_s

    def _mark(self, now: float) -> None:
        self._acknowledged = bytes_acknowledged(self._socket) or 0
        self._waits = self._transport.get_write_buffer_size()
        self._since = now


def least_taken(settings: TransportSettings) -> float:
    """Return the bytes that a peer has to read in each ``write_timeout_s``."""
    return settings.min_body_bytes_per_s * settings.write_timeout_s
