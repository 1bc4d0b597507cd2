"""What the kernel knows about a TCP connection: how much of what was written the peer has acknowledged."""

from __future__ import annotations

import socket
import struct
from typing import Any, Final

_COUNT: Final = struct.Struct("=Q")
_OFFSET: Final = 120
"""Where ``struct tcp_info`` of Linux (since 4.1) has ``tcpi_bytes_acked``, the opening SYN included."""


def bytes_acknowledged(connection: Any) -> int | None:
    """Return the bytes that the peer's kernel has acknowledged; under TLS, those of its records.

    None where that is not known: a UNIX socket, another kernel, or a socket that is gone or None.
    """
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _OFFSET + _COUNT.size)
        return int(_COUNT.unpack_from(info, _OFFSET)[0])
    except (OSError, ValueError, AttributeError, struct.error):
        # ValueError: what uvloop has for the socket of a closed transport.
        return None
