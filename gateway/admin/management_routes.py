"""An operator's orders over plain HTTP, on the admin port and between the processes of one gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from gateway.core.control import Log, Tracing
from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import IndexEntry, Loader
from gateway.core.request import Parameter
from gateway.wire.faults import STATUSES
from gateway.wire.oip.messages import parse

Message = TypeVar("Message")
Handler = Callable[[web.Request], Awaitable[web.Response]]


class _IndexMessage(msgspec.Struct):
    ready: bool = False


class _ModelMessage(msgspec.Struct):
    parameters: dict[str, Parameter] = {}


_INDEX: Final = msgspec.json.Decoder(_IndexMessage)
_MODEL: Final = msgspec.json.Decoder(_ModelMessage)
_LOGGING: Final = msgspec.json.Decoder(dict[str, object])
_TRACING: Final = msgspec.json.Decoder(dict[str, list[str] | str | int | None])


class RemoteError(msgspec.Struct):
    """What went wrong, so that another process of this gateway can raise it again."""

    error: str
    fault: Fault

    def raised(self) -> GatewayError:
        """Return it as it was."""
        return GatewayError(self.fault, self.error)


def management_routes(
    loader: Loader,
    log: Log,
    tracing: Tracing,
    *,
    index: Callable[[], Awaitable[Sequence[IndexEntry]]],
) -> list[web.RouteDef]:
    """Return the routes of models (``index``, load, unload), logging and tracing, as REST has them."""

    async def listed(request: web.Request) -> bytes:
        ready_only = _read(_INDEX, await request.read(), _IndexMessage()).ready
        entries = await index()
        return msgspec.json.encode([entry for entry in entries if not ready_only or entry.state == "READY"])

    async def load(request: web.Request) -> bytes:
        asked = _read(_MODEL, await request.read(), _ModelMessage())
        await loader.load(request.match_info["model"], asked.parameters)
        return b""

    async def unload(request: web.Request) -> bytes:
        asked = _read(_MODEL, await request.read(), _ModelMessage())
        dependents = asked.parameters.get("unload_dependents") is True
        await loader.unload(request.match_info["model"], dependents=dependents)
        return b""

    async def change(request: web.Request) -> bytes:
        nothing: dict[str, object] = {}
        wanted = _read(_LOGGING, await request.read(), nothing)
        return msgspec.json.encode(await log.change(wanted))

    async def trace(request: web.Request) -> bytes:
        nothing: dict[str, list[str] | str | int | None] = {}
        wanted = _read(_TRACING, await request.read(), nothing)
        return msgspec.json.encode(await tracing.change({name: _words(wanted[name]) for name in wanted}))

    return [
        web.post("/v2/repository/index", told(listed)),
        web.post("/v2/repository/models/{model}/load", told(load)),
        web.post("/v2/repository/models/{model}/unload", told(unload)),
        web.post("/v2/logging", told(change)),
        web.post("/v2/trace/setting", told(trace)),
    ]


def told(answer: Callable[[web.Request], Awaitable[bytes]]) -> Handler:
    """Return a handler that answers with the JSON of ``answer``, or tells the error that it raises.

    What a page in somebody's browser sends on its own is refused: it comes from where the browser is, and
    may reach a port that its author could not.
    """

    async def handle(request: web.Request) -> web.Response:
        if "Origin" in request.headers:
            return _told(GatewayError(Fault.FORBIDDEN, "orders are not taken from web pages"))
        try:
            return web.Response(body=await answer(request), content_type="application/json")
        except GatewayError as error:
            return _told(error)

    return handle


def _words(value: list[str] | str | int | None) -> list[str] | None:
    return value if value is None or isinstance(value, list) else [str(value)]


def _read(decoder: msgspec.json.Decoder[Message], body: bytes, nothing: Message) -> Message:
    return parse(decoder, body) if body.strip() else nothing


def _told(error: GatewayError) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(RemoteError(error.message, error.fault)),
        status=STATUSES[error.fault].http,
        content_type="application/json",
    )
