"""The admin port: health for orchestrators, metrics for Prometheus, the policy in force for people."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.admin.access import IS_OPERATOR, AdminAccess
from gateway.core.errors import without_folders
from gateway.http.server.binding import bind

_LONGEST: Final = 16 << 20
_LONGEST_OWN: Final = 1 << 30
"""Between processes of this gateway: an order to load may bring a model, as far as listeners let it in."""
"""Bytes of a body: one process may send another the statistics of many versions of many models."""

Report = Callable[[], Awaitable[Mapping[str, Any]]]


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp logs, without bytes that somebody has sent: a token may be among them."""

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:
        error = more.get("exc_info")
        if isinstance(error, HttpProcessingError):
            super().log(logging.DEBUG, "a request that is none: %s", type(error).__name__)
            return
        super().log(level, msg, *args, **more)


_log: Final = _ServerLog(logging.getLogger("edgeway.admin.server"), {})


class AdminListener:
    """Serves ``/healthz``, ``/readyz``, ``/metrics`` and ``/policy`` with aiohttp.

    ``health`` reports why the process is or is not ready under ``ready`` (bool) and further fields;
    ``metrics`` renders the Prometheus text; ``policy`` reports the generation in force and the error of
    the last load, if it failed. None of these changes anything: a reload is SIGHUP or a changed file.
    ``more``: further routes. Whoever may not see more gets the answers of probes without their reasons.
    """

    def __init__(
        self,
        *,
        health: Report,
        metrics: Callable[[], Awaitable[bytes]],
        policy: Report,
        more: Iterable[web.RouteDef] = (),
    ) -> None:
        self._health, self._metrics, self._policy = health, metrics, policy
        self._more = tuple(more)
        self._runner: web.AppRunner | None = None
        self.port = 0

    def __repr__(self) -> str:
        return f"<AdminListener {f'on port {self.port}' if self._runner else 'closed'}>"

    async def start(
        self,
        host: str,
        port: int,
        access: AdminAccess | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Listen; ``port`` 0 takes a free one, to be read from ``self.port``, the first address's.

        Called again, it listens on a further address. ``access``: who may come in, at all of them as the
        first call has it; absent, whoever calls the port by its address.
        """
        runner = self._runner or await self._prepare(access or AdminAccess(hosts=(host,)))
        await web.SockSite(runner, bind(host, port), ssl_context=tls).start()
        self.port = runner.addresses[0][1]

    async def start_at(self, path: str) -> None:
        """Listen on a UNIX socket, for other processes of this gateway."""
        await web.UnixSite(await self._prepare(), path).start()

    async def _prepare(self, access: AdminAccess | None = None) -> web.AppRunner:
        middlewares = () if access is None else (access.middleware,)
        longest = _LONGEST_OWN if access is None else _LONGEST
        app = web.Application(client_max_size=longest, middlewares=middlewares)
        app.router.add_get("/healthz", self._live)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._expose)
        app.router.add_get("/policy", self._show)
        app.router.add_routes(self._more)
        self._runner = web.AppRunner(app, access_log=None, logger=_log, keepalive_timeout=75)
        await self._runner.setup()
        return self._runner

    async def aclose(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _live(self, _request: web.Request) -> web.Response:
        return _json({"live": True})

    async def _ready(self, request: web.Request) -> web.Response:
        report = await self._health()
        shown = report if request.get(IS_OPERATOR, True) else {"ready": report["ready"]}
        return _json(shown, 200 if report["ready"] else 503)

    async def _expose(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=await self._metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _show(self, _request: web.Request) -> web.Response:
        return _json(await self._policy())


def _json(report: Mapping[str, Any], status: int = 200) -> web.Response:
    body = without_folders(msgspec.json.encode(report).decode()) + "\n"
    return web.Response(body=body.encode(), status=status, content_type="application/json")
