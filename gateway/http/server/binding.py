"""Sockets to listen on."""

from __future__ import annotations

import socket
from typing import Final

_ALL_IPV6: Final = "::"


def bind(host: str, port: int, backlog: int = 128) -> socket.socket:
    """Return a listening socket; on ``::``, all addresses, it takes IPv4 as well, as Go's and gRPC's do.

    A machine without IPv4 in its IPv6 sockets takes IPv6 only.

    Raises:
        OSError: the address cannot be listened on.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    takes_both = family == socket.AF_INET6 and host == _ALL_IPV6 and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=backlog, dualstack_ipv6=takes_both)
