"""Opens connections to one endpoint, in bounded time: name, TCP, TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, TypeVar

from gateway.http.client.addresses import Addresses
from gateway.http.client.shortage import lack
from gateway.http.client.tls import TlsSource

_STAGGER_S: Final = 0.25
"""The next address is tried when the one before has not answered for so long (RFC 8305)."""

P = TypeVar("P", bound=asyncio.Protocol)


class UnreachableError(Exception):
    """No connection could be had: none was accepted, or it is too early to try again, or the pool is closed.

    Its cause is what happened when one was last tried.
    """


class Dialer:
    """Connects to the first address of a name that answers (happy eyeballs).

    Args:
        addresses: of the endpoint.
        host: the name that is asked for in TLS (SNI), and against which certificates are checked.
        port: of TCP.
        connect_timeout_s: seconds for TCP and TLS, shared by the addresses of the name.
        tls: how to speak TLS; None for plain TCP. Its files are read again when a handshake fails: where they
            were replaced together with the server's, the connection is had at once.
    """

    def __init__(
        self,
        addresses: Addresses,
        host: str,
        port: int,
        *,
        connect_timeout_s: float,
        tls: TlsSource | None = None,
    ) -> None:
        self.addresses = addresses
        self._host, self._port, self._tls = host, port, tls
        self._connect_timeout_s = connect_timeout_s

    def __repr__(self) -> str:
        return f"<Dialer of {self._host}:{self._port}, {self.addresses!r}>"

    async def dial(self, factory: Callable[[], P]) -> P:
        """Open a connection to the first address that answers.

        Raises:
            OSError: none did, or the name is not known; TimeoutError is one.
        """
        waiting = await self.addresses.resolve()
        ends = asyncio.get_running_loop().time() + self._connect_timeout_s
        racing: dict[asyncio.Task[P], str] = {}
        problem: BaseException = OSError("the name has no address")
        try:
            while waiting or racing:
                if waiting:
                    address, *waiting = waiting
                    racing[asyncio.create_task(self._connect(address, factory, ends))] = address
                stagger_s = _STAGGER_S if waiting else None
                done, _ = await asyncio.wait(racing, timeout=stagger_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    address = racing.pop(task)
                    error = task.exception()
                    if error is None:
                        for slower in racing.values():
                            self.addresses.failed(slower)
                        return task.result()
                    self._failed(address, error)
                    problem = error
        finally:
            await _drop(racing)
        # The name may point elsewhere by now.
        self.addresses.expire()
        raise problem

    async def reach(self, address: str, factory: Callable[[], P]) -> P:
        """Open a connection to ``address``; a failure does not count against the address.

        Raises:
            OSError: it was not accepted; TimeoutError is one.
        """
        ends = asyncio.get_running_loop().time() + self._connect_timeout_s
        return await self._connect(address, factory, ends)

    def close(self) -> None:
        """Cancel the look-up of the name."""
        self.addresses.close()

    async def _connect(self, address: str, factory: Callable[[], P], ends: float) -> P:
        tls = self._tls
        async with asyncio.timeout_at(ends):
            if tls is None:
                return await self._open(address, factory, None)
            tried = tls.generation
            try:
                return await self._open(address, factory, tls.context)
            except ssl.SSLError:
                await tls.refresh()
                if tls.generation == tried:
                    raise
            return await self._open(address, factory, tls.context)

    async def _open(self, address: str, factory: Callable[[], P], context: ssl.SSLContext | None) -> P:
        name = self._host if context is not None else None
        _, protocol = await asyncio.get_running_loop().create_connection(
            factory, address, self._port, ssl=context, server_hostname=name
        )
        return protocol

    def _failed(self, address: str, error: BaseException) -> None:
        if not isinstance(error, OSError) or lack(error) is not None:
            raise error
        self.addresses.failed(address)


async def _drop(racing: dict[asyncio.Task[P], str]) -> None:
    """Cancel the attempts that are not needed any more, and close connections that they have opened."""
    for task in racing:
        task.cancel()
    for made in await asyncio.gather(*racing, return_exceptions=True):
        if not isinstance(made, BaseException):
            made.close()  # type: ignore[attr-defined] # connections of both kinds have it
