"""One port for everything: HTTP/1.1 and HTTP/2, with TLS and without."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import sys
from typing import Final

from gateway.core.address import canonical, silent_proxy
from gateway.core.clock import Clock
from gateway.http.exchange import Answer, Application
from gateway.http.framing.proxy_protocol import ProxyHeaderError
from gateway.http.server.address_limits import AddressLimits, AddressUsage, site
from gateway.http.server.binding import bind
from gateway.http.server.connection_limit import ConnectionLimit
from gateway.http.server.context import EMPTY_ERROR, ServerContext
from gateway.http.server.handshakes import has_handshakes, refuse_handshakes, stop_listening
from gateway.http.server.making_room import make_room
from gateway.http.server.protocol_sniffer import ProtocolSniffer
from gateway.http.server.proxy_header import read_proxy_header
from gateway.http.server.settings import TransportSettings
from gateway.http.server.tls import Tls

_log = logging.getLogger(__name__)
_PAUSE_S: Final = 0.1
_LAST_BYTES_S: Final = 0.1  # an answer that the stack has given still has to be written

HANDSHAKE_LOOKS: Final = (12, 0.02)
"""Before a socket ends, handshakes of TCP under way are looked for at most so often, with such a pause."""

OPENING_S: Final = 1.0
"""A drain waits so long for PROXY headers and TLS handshakes under way, and begins without the rest."""


class HttpListener:
    """Serves ``application`` on one socket.

    Connections are accepted one per turn of the loop: several workers that share a socket share the
    connections of a rush, too, instead of the first to wake up taking all of them. ``shared_limit``,
    ``address_limits``: those of several listeners together; None: of this one alone.
    """

    def __init__(
        self,
        application: Application,
        clock: Clock,
        settings: TransportSettings | None = None,
        *,
        tls: Tls | None = None,
        proxy_protocol: bool = False,
        fallback: Answer = EMPTY_ERROR,
        shared_limit: ConnectionLimit | None = None,
        address_limits: AddressLimits | None = None,
    ) -> None:
        self._address_limits = address_limits
        self._shared_limit = shared_limit or ConnectionLimit(sys.maxsize)
        self._application, self._clock = application, clock
        self._settings = settings or TransportSettings()
        self._tls, self._proxy_protocol, self._fallback = tls, proxy_protocol, fallback
        self._context: ServerContext | None = None
        self._socket: socket.socket | None = None
        self._opening: set[asyncio.Task[object]] = set()
        # Each with the usage that counts it; None while its address is still to come in a PROXY header.
        self._unregistered: dict[socket.socket, AddressUsage | None] = {}
        self._is_last = False
        self.port = 0

    def __repr__(self) -> str:
        state = "closed" if self._context is None else repr(self._context)
        return f"<HttpListener on port {self.port}, {state}>"

    @property
    def context(self) -> ServerContext:
        """What its connections share, while it is started."""
        assert self._context is not None, "it is not started"
        return self._context

    @property
    def opening(self) -> int:
        """How many connections wait for their PROXY header or their handshake."""
        return len(self._unregistered)

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
        self._context = ServerContext(
            self._application,
            self._settings,
            self._clock,
            self._fallback,
            address_limits=self._address_limits,
        )
        self._shared_limit.count(self._context.registry, self._unregistered)
        self._context.loop.add_reader(listening, self._accept)

    async def refuse_new(self) -> None:
        """Let no connection begin, whoever shares the socket; those on their way are still accepted.

        The next ``stop_accepting`` ends the socket for every process that shares it.
        """
        if self._socket is None or self._context is None:
            return
        self._is_last = True
        times, pause_s = HANDSHAKE_LOOKS
        if not refuse_handshakes(self._socket):
            return
        for _ in range(times):
            if not await asyncio.to_thread(has_handshakes, self.port):
                return
            await asyncio.sleep(pause_s)

    async def stop_accepting(self) -> None:
        """Accept no new connection; those that are open end after the requests under way.

        What waits in the socket's queue is taken first: whoever was let in there expects an answer.
        """
        if self._socket is None or self._context is None:
            return
        self._context.loop.remove_reader(self._socket)
        while self._accept():
            pass
        if self._is_last:
            # A process that stands still could keep it open otherwise, with a queue that nobody reads.
            stop_listening(self._socket)
        self._socket.close()
        self._socket = None
        if self._opening:
            await asyncio.wait(self._opening, timeout=OPENING_S)
        self._context.drain.begin()

    async def aclose(self, grace_s: float = 0.0) -> None:
        """Wait at most ``grace_s`` seconds for the connections to end, then end them all."""
        await self.stop_accepting()
        context, self._context = self._context, None
        if context is None:
            return
        if (
            not await context.registry.wait_until_empty(context.loop.time() + max(_LAST_BYTES_S, grace_s))
            and context.running
        ):
            _log.warning("%d requests are cut off after %g s", context.running, grace_s)
        for opening in self._opening:
            opening.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await context.aclose()
        self._shared_limit.forget(context.registry)

    def _accept(self) -> bool:
        """Accept one connection; return whether there was one."""
        context, listening = self._context, self._socket
        if context is None or listening is None:
            return False
        try:
            connection, name = listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno == errno.EINVAL:
                # Another process that shared it has ended it.
                context.loop.remove_reader(listening)
                return False
            # Out of descriptors, most likely: the queue will still be there in a moment.
            _log.error("a connection cannot be accepted: %s", error.strerror)
            context.loop.remove_reader(listening)
            context.loop.call_later(_PAUSE_S, self._resume)
            return False
        # A UNIX socket's peer has no address.
        peer = canonical(name[0]) if isinstance(name, tuple) else ""
        usage = None if self._proxy_protocol else context.address_limits.of(peer)
        is_full = self._is_full(context, "" if usage is None else usage.address)
        if is_full or not (usage is None or usage.admit()):
            connection.close()
            return True
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task: asyncio.Task[object] = context.loop.create_task(self._open(connection, peer))
        self._opening.add(task)
        self._unregistered[connection] = usage
        task.add_done_callback(self._opening.discard)
        task.add_done_callback(lambda _: self._forget(connection))
        return True

    def _is_full(self, context: ServerContext, address: str) -> bool:
        """Whether there is no room for a connection of ``address``, and none can be made."""
        # Those before their handshake count, too, or a flood of them would have no limit.
        if len(context.registry) + len(self._unregistered) >= self._settings.max_connections:
            most, has_room = self._settings.max_connections, make_room((context.registry,), site(address))
        elif self._shared_limit.is_reached():
            most, has_room = self._shared_limit.most, make_room(self._shared_limit.registries, site(address))
        else:
            return False
        if not has_room:
            _log.warning("connections are refused: %d are open, as many as there may be", most)
        return not has_room

    def _resume(self) -> None:
        if self._socket is not None and self._context is not None:
            self._context.loop.add_reader(self._socket, self._accept)

    def _forget(self, connection: socket.socket) -> None:
        """Forget a connection that ended before it had a protocol, if this is one."""
        usage = self._unregistered.pop(connection, None)
        if usage is not None:
            usage.connections -= 1

    async def _open(self, connection: socket.socket, peer: str) -> None:
        """Read the PROXY header, shake hands, and leave the rest to a ProtocolSniffer."""
        context, limit_s = self._context, self._settings.request_headers_timeout_s
        assert context is not None
        try:
            usage = self._unregistered[connection]
            if usage is None:
                async with asyncio.timeout(limit_s):
                    address = await read_proxy_header(context.loop, connection)
                peer = address or silent_proxy(peer)
                usage = context.address_limits.of(peer)
                if not usage.admit():
                    connection.close()
                    return
                self._unregistered[connection] = usage
            await context.loop.connect_accepted_socket(
                # The sniffer registers it, and it must not count twice.
                lambda: ProtocolSniffer(
                    context, peer, usage, lambda: self._unregistered.pop(connection, None)
                ),
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
