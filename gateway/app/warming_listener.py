"""Where neighbours' offers come in: who sends them is known by the head, before the body is read."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, NoReturn, TypeVar

import msgspec
from aiohttp import web

from cache.warming.messages import (
    MOST_BODY_BYTES,
    OFFER,
    SENDER,
    SIGNATURE,
    VALUES,
    Offer,
    Signer,
    Values,
    fits,
)
from cache.warming.receiver import WarmingReceiver
from gateway.core.cache_events import CacheWarmed
from gateway.core.clock import Clock
from gateway.core.telemetry import Telemetry

T = TypeVar("T")

READ_S: Final = 30.0
"""Seconds that a message may take to come in."""
_MOST_AT_ONCE: Final = 4
"""Messages that are read at once: that bounds what they take in memory."""

_log: Final = logging.getLogger("edgeway.warming")


class WarmingListener:
    """Passes signed messages to the region ``own`` on to ``receiver``.

    ``is_region``: whether the policy knows a region; no other offers anything.
    """

    def __init__(
        self,
        own: str,
        receiver: WarmingReceiver,
        signer: Signer,
        *,
        is_region: Callable[[str], bool],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._own, self._receiver, self._signer = own, receiver, signer
        self._is_region, self._clock, self._emit = is_region, clock, telemetry.emit
        self._runner: web.AppRunner | None = None
        self._reading = asyncio.Semaphore(_MOST_AT_ONCE)
        self.port = 0

    def __repr__(self) -> str:
        return f"<WarmingListener of {self._own}, port {self.port}>"

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Listen, beside the other processes of this gateway.

        Raises:
            OSError: the address cannot be used.
        """
        app = web.Application(client_max_size=MOST_BODY_BYTES)
        app.router.add_post(OFFER, self._offer)
        app.router.add_post(VALUES, self._values)
        self._runner = web.AppRunner(app, access_log=None, logger=_log, keepalive_timeout=600)
        await self._runner.setup()
        # Workers share the port; where the system cannot do that, the second of them says so.
        shares = hasattr(socket, "SO_REUSEPORT")
        await web.TCPSite(self._runner, host, port, ssl_context=tls, reuse_port=shares).start()
        self.port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _offer(self, request: web.Request) -> web.Response:
        neighbour, offer = await self._read(request, OFFER, Offer)
        return self._answer(request, msgspec.msgpack.encode(self._receiver.offered(neighbour, offer)))

    async def _values(self, request: web.Request) -> web.Response:
        neighbour, values = await self._read(request, VALUES, Values)
        await self._receiver.came(neighbour, values)
        return self._answer(request, b"")

    async def _read(self, request: web.Request, purpose: str, kind: type[T]) -> tuple[str, T]:
        neighbour, header = request.headers.get(SENDER, ""), request.headers.get(SIGNATURE, "")
        digest = self._signer.digest_of((neighbour, self._own, purpose), header, self._clock.wall())
        if digest is None or not self._is_region(neighbour):
            self._refuse(
                "not signed by a gateway with this cache.key_secret, of a region of the policy, lately"
            )
        async with self._reading:
            try:
                async with asyncio.timeout(READ_S):
                    body = await request.read()
            except TimeoutError:
                self._refuse(f"the message takes longer than {READ_S:g} s to come in", neighbour)
        if not fits(body, digest):
            self._refuse("the body is not the one that was signed", neighbour)
        try:
            return neighbour, msgspec.msgpack.decode(body, type=kind)
        except (msgspec.MsgspecError, RecursionError):
            # A gateway of another build has signed it.
            self._refuse("this build does not know such a message", neighbour, outcome="garbage")

    def _refuse(self, why: str, neighbour: str = "", outcome: str = "stranger") -> NoReturn:
        self._emit(CacheWarmed(neighbour, outcome, keys=1))
        raise web.HTTPForbidden(text=why, headers={"Connection": "close"})

    def _answer(self, request: web.Request, body: bytes) -> web.Response:
        signature = self._signer.sign_answer(request.headers[SIGNATURE], body)
        return web.Response(body=body, headers={SIGNATURE: signature}, content_type="application/msgpack")
