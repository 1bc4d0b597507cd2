"""Whether a peer takes what waits for it."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from typing import Any, Final

from gateway.http.server.settings import TransportSettings

_ACKNOWLEDGED: Final = struct.Struct("<Q")
_AT: Final = 120
"""Where the kernel's ``tcp_info`` has ``tcpi_bytes_acked``."""


class WriteProgress:
    """Looks at a transport from ``watch`` on: in each ``write_timeout_s`` the peer has to take something.

    That is ``least_taken`` of what waits, or all, whereupon its owner does ``rest``. The kernel knows best
    what was taken, under TLS, too, and however much it holds itself; where it does not tell, it is seen by
    what the transport still has.
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
        taken = max(self._told() - self._acknowledged, self._waits - self._transport.get_write_buffer_size())
        if taken >= least_taken(self._settings):
            self._mark(now)
        return now - self._since > self._settings.write_timeout_s

    def _mark(self, now: float) -> None:
        self._acknowledged, self._waits = self._told(), self._transport.get_write_buffer_size()
        self._since = now

    def _told(self) -> int:
        try:
            told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _AT + _ACKNOWLEDGED.size)
            return int(_ACKNOWLEDGED.unpack_from(told, _AT)[0])
        except (OSError, AttributeError, struct.error):
            # A UNIX socket, another kernel, or a socket that is gone.
            return 0


def least_taken(settings: TransportSettings) -> float:
    """Return the bytes that a peer has to take in each ``write_timeout_s``."""
    return settings.min_body_bytes_per_s * settings.write_timeout_s
