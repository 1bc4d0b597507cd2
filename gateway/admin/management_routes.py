"""Management of models, logging and tracing over HTTP: on the admin port, and between processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from aiohttp import web

from gateway.admin.errors import error_response
from gateway.core.catalog import IndexEntry
from gateway.core.control import Log, Tracing
from gateway.core.errors import GatewayError
from gateway.core.repository import Loader
from gateway.wire.oip.management import (
    decode_index,
    decode_log_settings,
    decode_model_parameters,
    decode_trace_settings,
)

Handler = Callable[[web.Request], Awaitable[web.Response]]


def management_routes(
    loader: Loader,
    log: Log,
    tracing: Tracing,
    *,
    index: Callable[[], Awaitable[Sequence[IndexEntry]]],
) -> list[web.RouteDef]:
    """Return the routes of models (``index``, load, unload), logging and tracing, as REST has them."""

    async def list_models(request: web.Request) -> bytes:
        ready_only = decode_index(await request.read())
        entries = await index()
        return msgspec.json.encode([entry for entry in entries if not ready_only or entry.state == "READY"])

    async def load(request: web.Request) -> bytes:
        parameters = decode_model_parameters(await request.read())
        await loader.load(request.match_info["model"], parameters)
        return b""

    async def unload(request: web.Request) -> bytes:
        parameters = decode_model_parameters(await request.read())
        dependents = parameters.get("unload_dependents") is True
        await loader.unload(request.match_info["model"], dependents=dependents)
        return b""

    async def change_log(request: web.Request) -> bytes:
        wanted = decode_log_settings(await request.read())
        return msgspec.json.encode(await log.change(wanted))

    async def change_tracing(request: web.Request) -> bytes:
        wanted = decode_trace_settings(await request.read())
        return msgspec.json.encode(await tracing.change(wanted))

    return [
        web.post("/v2/repository/index", json_handler(list_models)),
        web.post("/v2/repository/models/{model}/load", json_handler(load)),
        web.post("/v2/repository/models/{model}/unload", json_handler(unload)),
        web.post("/v2/logging", json_handler(change_log)),
        web.post("/v2/trace/setting", json_handler(change_tracing)),
    ]


def json_handler(answer: Callable[[web.Request], Awaitable[bytes]]) -> Handler:
    """Return a handler that answers with the JSON of ``answer``, or with the error that it raises."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await answer(request), content_type="application/json")
        except GatewayError as error:
            return error_response(error)

    return handle
