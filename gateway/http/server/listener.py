"""One port for everything: HTTP/1.1 and HTTP/2, with TLS and without."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Final

from gateway.core.address import canonical
from gateway.core.clock import Clock
from gateway.http.exchange import Application
from gateway.http.framing.proxy_protocol import ProxyHeaderError
from gateway.http.server.address_limits import AddressUsage
from gateway.http.server.binding import bind
from gateway.http.server.context import ServerContext
from gateway.http.server.protocol_sniffer import ProtocolSniffer
from gateway.http.server.proxy_header import read_proxy_header
from gateway.http.server.settings import TransportSettings
from gateway.http.server.tls import Tls

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.1
_LAST_BYTES_S: Final = 0.1  # an answer that the stack has given still has to be written

WELCOME_S: Final = 1.0
"""A drain waits so long for PROXY headers and TLS handshakes under way, and begins without the rest."""


class WireListener:
    """Serves ``application`` on one socket.

    Connections are accepted one per turn of the loop: several workers that share a socket share the
    connections of a rush, too, instead of the first to wake up taking all of them.
    """

    def __init__(
        self,
        application: Application,
        clock: Clock,
        settings: TransportSettings | None = None,
        *,
        tls: Tls | None = None,
        proxy_protocol: bool = False,
    ) -> None:
        self._application, self._clock = application, clock
        self._settings = settings or TransportSettings()
        self._tls, self._proxy_protocol = tls, proxy_protocol
        self._ledger: ServerContext | None = None
        self._socket: socket.socket | None = None
        self._welcomes: set[asyncio.Task[object]] = set()
        # Each with the account that counts it; None: who it is comes in a PROXY header.
        self._arriving: dict[socket.socket, AddressUsage | None] = {}
        self.port = 0

    def __repr__(self) -> str:
        state = "closed" if self._ledger is None else repr(self._ledger)
        return f"<WireListener on port {self.port}, {state}>"

    async def start(self, host: str, port: int) -> None:
        """Listen; ``port`` 0 takes a free one, to be read from ``self.port``.

        Raises:
            OSError: the address cannot be listened on.
        """
        await self.start_on(bind(host, port, self._settings.backlog))

    async def start_on(self, listening: socket.socket) -> None:
        """Listen on a socket that is bound already."""
        listening.setblocking(False)
        self._socket = listening
        self.port = listening.getsockname()[1]
        self._ledger = ServerContext(self._application, self._settings, self._clock)
        self._ledger.loop.add_reader(listening, self._accept)

    async def stop_accepting(self) -> None:
        """Accept no new connection; those that are open end after what they have asked for.

        What waits in the socket's queue is taken first: whoever was let in there expects an answer.
        """
        if self._socket is None or self._ledger is None:
            return
        self._ledger.loop.remove_reader(self._socket)
        while self._accept():
            pass
        self._socket.close()
        self._socket = None
        if self._welcomes:
            await asyncio.wait(self._welcomes, timeout=WELCOME_S)
        self._ledger.begin_drain()

    async def aclose(self, grace_s: float = 0.0) -> None:
        """Wait at most ``grace_s`` seconds for the connections to end, then end them all."""
        await self.stop_accepting()
        ledger, self._ledger = self._ledger, None
        if ledger is None:
            return
        if not await ledger.ended(ledger.loop.time() + max(_LAST_BYTES_S, grace_s)) and ledger.running:
            _log.warning("%d requests are cut off after %g s", ledger.running, grace_s)
        for welcome in self._welcomes:
            welcome.cancel()
        await asyncio.gather(*self._welcomes, return_exceptions=True)
        await ledger.aclose()

    def _accept(self) -> bool:
        """Take one connection; tell whether there was one."""
        ledger, listening = self._ledger, self._socket
        if ledger is None or listening is None:
            return False
        try:
            connection, name = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            # Out of descriptors, most likely: the queue will still be there in a moment.
            _log.error("a connection cannot be accepted: %s", error.strerror)
            ledger.loop.remove_reader(listening)
            ledger.loop.call_later(_PAUSE_S, self._resume)
            return False
        # A UNIX socket's peer has no address.
        peer = canonical(name[0]) if isinstance(name, tuple) else ""
        account = None if self._proxy_protocol else ledger.accounts.of(peer)
        # Those that have not got as far as a Door count, too, or a flood of them would be free.
        is_full = len(ledger.connections) + len(self._arriving) >= self._settings.max_connections
        if is_full or not (account is None or account.admit()):
            connection.close()
            return True
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task: asyncio.Task[object] = ledger.loop.create_task(self._welcome(connection, peer))
        self._welcomes.add(task)
        self._arriving[connection] = account
        task.add_done_callback(self._welcomes.discard)
        task.add_done_callback(lambda _: self._lose(connection))
        return True

    def _resume(self) -> None:
        if self._socket is not None and self._ledger is not None:
            self._ledger.loop.add_reader(self._socket, self._accept)

    def _lose(self, connection: socket.socket) -> None:
        """Forget one that did not get as far as a Door, if this is one."""
        account = self._arriving.pop(connection, None)
        if account is not None:
            account.connections -= 1

    async def _welcome(self, connection: socket.socket, peer: str) -> None:
        """Hear whom the connection is for, shake hands, and leave the rest to its Door."""
        ledger, limit_s = self._ledger, self._settings.request_headers_timeout_s
        assert ledger is not None
        try:
            account = self._arriving[connection]
            if account is None:
                async with asyncio.timeout(limit_s):
                    told = await read_proxy_header(ledger.loop, connection)
                account = ledger.accounts.of(told or peer)
                if not account.admit():
                    connection.close()
                    return
                self._arriving[connection] = account
            await ledger.loop.connect_accepted_socket(
                # At its Door it is in the books, and must not count twice.
                lambda: ProtocolSniffer(ledger, account, lambda: self._arriving.pop(connection, None)),
                connection,
                ssl=self._tls.context if self._tls else None,
                ssl_handshake_timeout=limit_s if self._tls else None,
            )
        except (ProxyHeaderError, TimeoutError, OSError, ssl.SSLError) as error:
            _log.debug("a connection ends before it began: %s", type(error).__name__)
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise
