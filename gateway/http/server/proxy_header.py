"""Reads a PROXY header from a connection, and no byte behind it: a TLS handshake may follow."""

from __future__ import annotations

import asyncio
import socket

from gateway.core.address import canonical
from gateway.http.framing.proxy_protocol import HEADER_LONGEST, ProxyHeaderError, parse_proxy_header


async def read_proxy_header(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> str:
    """Return the client's address; empty where the proxy speaks for itself.

    Raises:
        ProxyHeaderError: the connection begins with something else, or ends.
        OSError: it breaks.
    """
    header = b""
    while True:
        # The bytes are peeked at first: only the parser knows where the header ends.
        peeked = await _peek(loop, connection)
        found = parse_proxy_header(header + peeked)
        taken = len(peeked) if found is None else found[1] - len(header)
        header += connection.recv(taken)
        if found is not None:
            return canonical(found[0])


async def _peek(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> bytes:
    while True:
        try:
            peeked = connection.recv(HEADER_LONGEST, socket.MSG_PEEK)
        except BlockingIOError:
            await _readable(loop, connection)
            continue
        if not peeked:
            raise ProxyHeaderError("the connection ends within its PROXY header")
        return peeked


async def _readable(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    readable = loop.create_future()

    def see() -> None:
        # This may be called twice before the wait ends.
        if not readable.done():
            readable.set_result(None)

    loop.add_reader(connection, see)
    try:
        await readable
    finally:
        loop.remove_reader(connection)
