"""The listeners of one process: opened in order, drained together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from aiohttp import web

from gateway.admin.listener import AdminListener
from gateway.app.errors import StartError
from gateway.app.workers.inheritance import Inheritance
from gateway.config.settings import ListenSettings, host_and_port
from gateway.core.clock import Clock
from gateway.http.server.listener import WireListener
from gateway.http.server.tls import Tls, TlsError
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.rest.application import RestApplication
from gateway.listeners.protocol_router import ProtocolRouter

_LOG: Final = logging.getLogger("edgeway")

Report = Callable[[], Awaitable[Mapping[str, Any]]]


class Servers:
    """What a process listens on. ``http`` and ``grpc`` are two ports of one kind: each speaks everything."""

    def __init__(
        self, settings: ListenSettings, clock: Clock, inheritance: Inheritance | None = None
    ) -> None:
        self._settings, self._clock, self._inheritance = settings, clock, inheritance
        self._tls: Tls | None = None
        self.http: WireListener | None = None
        self.grpc: WireListener | None = None
        self.admin: AdminListener | None = None

    def __repr__(self) -> str:
        return f"<Servers {self.addresses() or 'on nothing'}>"

    async def open(self, lifetimes: AsyncExitStack, front: DataPlane, extensions: Extensions) -> None:
        """Listen.

        Raises:
            StartError: names the address or the file that cannot be used.
        """
        settings = self._settings
        if settings.tls is not None:
            try:
                self._tls = Tls(settings.tls)
            except TlsError as error:
                raise StartError(f"listen.tls: {error}") from None
        application = ProtocolRouter(RestApplication(front, extensions), GrpcApplication(front, extensions))
        for name in ("http", "grpc"):
            address = getattr(settings, name)
            if address is None:
                continue
            inherited = self._inheritance.socket(name) if self._inheritance else None
            if self._inheritance is not None and inherited is None:
                # Opened by each worker for itself, the address would be taken for the second.
                _LOG.warning("listen.%s is new: it is opened when the parent is started again", name)
                continue
            listener = WireListener(
                application,
                self._clock,
                settings.transport,
                tls=self._tls,
                proxy_protocol=settings.proxy_protocol,
            )
            setattr(self, name, listener)
            lifetimes.push_async_callback(listener.aclose)
            if inherited is not None:
                await listener.start_on(inherited)
            else:
                await _start(listener, address)

    async def open_admin(
        self,
        lifetimes: AsyncExitStack,
        *,
        health: Report,
        metrics: Callable[[], Awaitable[bytes]],
        policy: Report,
        more: Iterable[web.RouteDef] = (),
    ) -> None:
        """Open the admin port, or the socket on which the parent of this worker asks and orders.

        Raises:
            StartError: names the address that cannot be used.
        """
        if self._settings.admin is None and self._inheritance is None:
            return
        self.admin = AdminListener(health=health, metrics=metrics, policy=policy, more=more)
        lifetimes.push_async_callback(self.admin.aclose)
        if self._inheritance is not None:
            await self.admin.start_at(self._inheritance.admin)
        elif self._settings.admin is not None:
            await _start(self.admin, self._settings.admin)

    def reload_certificates(self) -> None:
        """Take the certificates as they are on disk now; what is wrong changes nothing."""
        if self._tls is None:
            return
        try:
            if self._tls.reload():
                _LOG.info("new certificates are in use")
        except TlsError as error:
            _LOG.error("the certificates were not taken, the old ones stay: %s", error)

    async def stop(self, finished: Callable[[float], Awaitable[bool]], limit_s: float) -> None:
        """Refuse new connections, finish what was accepted, within ``limit_s`` seconds.

        ``finished`` waits for the stacks, at most so many seconds.
        """
        listeners = [listener for listener in (self.http, self.grpc) if listener is not None]
        await asyncio.gather(*(listener.stop_accepting() for listener in listeners))
        until = self._clock.now() + limit_s
        if not await finished(limit_s):
            _LOG.warning("some requests did not finish within %g s", limit_s)
        # A request whose body is still on its way is accepted, too, and not yet in any stack.
        left_s = max(0.0, until - self._clock.now())
        await asyncio.gather(*(listener.aclose(left_s) for listener in listeners))

    def addresses(self) -> str:
        """Tell the ports in one line."""
        listeners = {"http": self.http, "grpc": self.grpc, "admin": self.admin}
        return ", ".join(f"{name} port {item.port}" for name, item in listeners.items() if item and item.port)


async def _start(listener: WireListener | AdminListener, address: str) -> None:
    try:
        await listener.start(*host_and_port(address))
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror or error}") from error
