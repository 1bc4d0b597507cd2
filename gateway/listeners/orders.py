"""An operator's orders over plain HTTP, on the admin port and between the processes of one gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from gateway.core.errors import Fault, GatewayError
from gateway.core.repository import Loader
from gateway.core.request import Parameter
from gateway.listeners.switches import Log
from gateway.wire.faults import STATUSES
from gateway.wire.oip_messages import parse

Message = TypeVar("Message")
Handler = Callable[[web.Request], Awaitable[web.Response]]


class _ModelMessage(msgspec.Struct):
    parameters: dict[str, Parameter] = {}


_MODEL: Final = msgspec.json.Decoder(_ModelMessage)
_LOGGING: Final = msgspec.json.Decoder(dict[str, object])


class Told(msgspec.Struct):
    """What went wrong, so that another process of this gateway can raise it again."""

    error: str
    fault: Fault

    def raised(self) -> GatewayError:
        """Return it as it was."""
        return GatewayError(self.fault, self.error)


def order_routes(loader: Loader, log: Log) -> list[web.RouteDef]:
    """Return the routes on which models are loaded and unloaded, and logging changed, as REST has them."""

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

    return [
        web.post("/v2/repository/models/{model}/load", told(load)),
        web.post("/v2/repository/models/{model}/unload", told(unload)),
        web.post("/v2/logging", told(change)),
    ]


def told(answer: Callable[[web.Request], Awaitable[bytes]]) -> Handler:
    """Return a handler that answers with the JSON of ``answer``, or tells the error that it raises."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await answer(request), content_type="application/json")
        except GatewayError as error:
            return _json(Told(error.message, error.fault), STATUSES[error.fault].http)

    return handle


def _read(decoder: msgspec.json.Decoder[Message], body: bytes, nothing: Message) -> Message:
    return parse(decoder, body) if body.strip() else nothing


def _json(what: Any, status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(what), status=status, content_type="application/json")
