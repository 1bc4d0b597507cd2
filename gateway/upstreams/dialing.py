"""Opens connections to one endpoint, in bounded time: name, TCP, TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

_NAMES_KEPT_S: Final = 30.0

P = TypeVar("P", bound=asyncio.Protocol)


class UnreachableError(Exception):
    """No connection could be had: nobody is there, or it is too early to try again, or we are closed."""


class Dialer:
    """Knows one endpoint's host and port, and for a while its addresses.

    Args:
        host: a name, or an address without brackets.
        port: of TCP.
        resolve_timeout_s: seconds for looking up the name.
        connect_timeout_s: seconds for TCP and TLS, shared by the addresses of the name.
        tls: how to speak TLS; None for plain TCP. Certificates are checked against ``host``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        resolve_timeout_s: float,
        connect_timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._resolve_timeout_s, self._connect_timeout_s = resolve_timeout_s, connect_timeout_s
        self._addresses = [host] if _is_address(host) else []
        self._expires = 0.0
        self._looking: asyncio.Future[list[str]] | None = None

    def __repr__(self) -> str:
        return f"<Dialer of {self._host}:{self._port}, {len(self._addresses)} addresses>"

    async def dial(self, factory: Callable[[], P]) -> P:
        """Open a connection to the first address that answers.

        Raises:
            OSError: none did, or nobody knows the name; TimeoutError is one.
        """
        addresses = await self._resolve()
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._connect_timeout_s
        problem: OSError = OSError("the name has no address")
        for position, address in enumerate(addresses):
            share_s = (ends - loop.time()) / (len(addresses) - position)
            try:
                async with asyncio.timeout(share_s):
                    _, protocol = await loop.create_connection(
                        factory,
                        address,
                        self._port,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls else None,
                    )
                    return protocol
            except OSError as error:
                problem = error
        # The name may point elsewhere by now.
        self._expires = 0.0
        raise problem

    def close(self) -> None:
        """Give up looking up the name."""
        if self._looking is not None:
            self._looking.cancel()

    async def _resolve(self) -> list[str]:
        loop = asyncio.get_running_loop()
        if self._addresses == [self._host] or (self._addresses and loop.time() < self._expires):
            return self._addresses
        if self._looking is None:
            # One look-up at a time: it runs in a thread, and one that hangs cannot be cancelled.
            self._looking = asyncio.ensure_future(self._look_up())
            self._looking.add_done_callback(self._looked)
        try:
            async with asyncio.timeout(self._resolve_timeout_s):
                return await asyncio.shield(self._looking)
        except OSError:
            if self._addresses:
                # Where it was when somebody last knew is better than nowhere.
                return self._addresses
            raise

    async def _look_up(self) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError("the name cannot be one") from error
        self._addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        self._expires = loop.time() + _NAMES_KEPT_S
        return self._addresses

    def _looked(self, looking: asyncio.Future[list[str]]) -> None:
        self._looking = None
        # Whoever waited has been told; when nobody did, nobody needs to be.
        if not looking.cancelled():
            looking.exception()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
