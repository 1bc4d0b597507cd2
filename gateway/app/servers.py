"""The listeners of one process: opened in order, drained together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from gateway.admin.listener import AdminListener
from gateway.app.admin_port import open_admin_port
from gateway.app.descriptors import Descriptors
from gateway.app.errors import StartError
from gateway.app.workers.inheritance import Inheritance
from gateway.config.addresses import host_and_port
from gateway.config.settings import ListenSettings
from gateway.core.clock import Clock
from gateway.http.exchange import Application
from gateway.http.server.address_limits import AddressLimits
from gateway.http.server.connection_limit import ConnectionLimit
from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings
from gateway.http.server.tls import Tls
from gateway.listeners.cors import Cors
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.rest.application import RestApplication
from gateway.listeners.oip.rest.responses import INTERNAL_ERROR
from gateway.listeners.protocol_router import ProtocolRouter, is_grpc
from gateway.wire.oip.paths import methods_of

_LOG: Final = logging.getLogger("edgeway")


@dataclass(frozen=True, slots=True, repr=False)
class Servers:
    """What a process listens on. ``http`` and ``grpc`` are two ports of one kind: each speaks everything.

    ``more``: the further addresses of lists, by name.
    """

    clock: Clock
    http: HttpListener | None = None
    grpc: HttpListener | None = None
    admin: AdminListener | None = None
    more: Mapping[str, HttpListener] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Servers {self.addresses() or 'on nothing'}>"

    async def refuse_new(self) -> None:
        """Let no connection of a client begin, in this process and in all that share its sockets."""
        await asyncio.gather(*(listener.refuse_new() for listener in self._for_clients()))

    async def stop(self, finished: Callable[[float], Awaitable[bool]], limit_s: float) -> None:
        """Refuse new connections, finish what was accepted, within ``limit_s`` seconds.

        ``finished`` waits for the stacks, at most so many seconds.
        """
        listeners = self._for_clients()
        await asyncio.gather(*(listener.stop_accepting() for listener in listeners))
        until = self.clock.now() + limit_s
        if not await finished(limit_s):
            _LOG.warning("some requests did not finish within %g s", limit_s)
        # A request whose body is still on its way is accepted, too, and not yet in any stack.
        left_s = max(0.0, until - self.clock.now())
        await asyncio.gather(*(listener.aclose(left_s) for listener in listeners))

    def _for_clients(self) -> list[HttpListener]:
        return [listener for listener in (self.http, self.grpc, *self.more.values()) if listener is not None]

    def addresses(self) -> str:
        """Return the ports in one line."""
        listeners = {"http": self.http, "grpc": self.grpc, **self.more, "admin": self.admin}
        return ", ".join(f"{name} port {item.port}" for name, item in listeners.items() if item and item.port)


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens listeners; each closes with ``lifetimes``.

    ``tls``: None: connections are in the clear. ``descriptors``: None: open files are not counted.
    """

    settings: ListenSettings
    clock: Clock
    lifetimes: AsyncExitStack
    tls: Tls | None = None
    inheritance: Inheritance | None = None
    descriptors: Descriptors | None = None

    async def open_admin(self, admin: AdminListener) -> AdminListener | None:
        """Open the admin port, or the socket on which the parent of this worker reaches it; None: neither.

        Raises:
            StartError: names the address that cannot be used.
        """
        if self.inheritance is None:
            return await open_admin_port(admin, self.settings, self.lifetimes)
        self.lifetimes.push_async_callback(admin.aclose)
        await admin.start_at(self.inheritance.admin)
        return admin

    async def open_servers(
        self, data_plane: DataPlane, extensions: Extensions, admin: AdminListener | None
    ) -> Servers:
        """Open the ports for clients.

        Raises:
            StartError: names the address that cannot be used.
        """
        rest: Application = RestApplication(data_plane, extensions)
        if self.settings.cors is not None:
            rest = Cors(self.settings.cors, rest, methods_of)
        application = ProtocolRouter((is_grpc, GrpcApplication(data_plane, extensions)), otherwise=rest)
        # One book for both ports; a trusted gateway is not one client.
        limits = AddressLimits(self._transport(), data_plane.trust.is_gateway)
        limit = ConnectionLimit(self.descriptors.connections) if self.descriptors is not None else None
        opened: dict[str, HttpListener] = {}
        for name, address in self.settings.client_addresses().items():
            listener = await self._open(name, address, application, limit, limits=limits)
            if listener is not None:
                opened[name] = listener
        http, grpc = opened.pop("http", None), opened.pop("grpc", None)
        return Servers(self.clock, http, grpc, admin, opened)

    async def _open(
        self,
        name: str,
        address: str,
        application: ProtocolRouter,
        limit: ConnectionLimit | None,
        *,
        limits: AddressLimits,
    ) -> HttpListener | None:
        inherited = self.inheritance.socket(name) if self.inheritance else None
        if self.inheritance is not None and inherited is None:
            # Opened by each worker for itself, the address would be taken for the second.
            _LOG.warning("listen.%s is new: it is opened when the parent is started again", name)
            return None
        listener = HttpListener(
            application,
            self.clock,
            self._transport(),
            tls=self.tls,
            proxy_protocol=self.settings.proxy_protocol,
            fallback=INTERNAL_ERROR,
            shared_limit=limit,
            address_limits=limits,
        )
        self.lifetimes.push_async_callback(listener.aclose)
        if inherited is not None:
            await listener.start_on(inherited)
        else:
            try:
                await listener.start(*host_and_port(address))
            except OSError as error:
                raise StartError(f"cannot listen on {address}: {error.strerror or error}") from error
        return listener

    def _transport(self) -> TransportSettings:
        """Return the limits of connections; where files are few, no address has more than half of them."""
        transport, found = self.settings.transport, self.descriptors
        if found is None or found.connections_per_address >= transport.max_connections_per_address:
            return transport
        return replace(transport, max_connections_per_address=found.connections_per_address)
