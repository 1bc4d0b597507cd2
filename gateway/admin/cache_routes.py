"""``/cache`` of the admin port: what the caches hold and how they do, and what is known of one answer."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from gateway.admin.management_routes import json_handler
from gateway.core.cache_inspection import CacheQuestion
from gateway.core.control import CacheControl
from gateway.core.errors import Fault, GatewayError

TOP: Final = 10
MOST_TOP: Final = 8192


def cache_routes(cache: CacheControl) -> list[web.RouteDef]:
    """Return the routes: ``GET /cache?top=N`` and ``POST /cache/inspect`` with a ``CacheQuestion``."""

    async def report(request: web.Request) -> bytes:
        return msgspec.json.encode(await cache.report(_top(request.query.get("top", str(TOP))))) + b"\n"

    async def inspect(request: web.Request) -> bytes:
        question = _question(await request.read())
        return msgspec.json.encode(await cache.inspect(question)) + b"\n"

    return [
        web.get("/cache", json_handler(report)),
        web.post("/cache/inspect", json_handler(inspect)),
    ]


def _top(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_TOP)) and int(text) <= MOST_TOP:
        return int(text)
    raise GatewayError(Fault.INVALID, f"top: how many models and tenants are named, 0 to {MOST_TOP}")


def _question(body: bytes) -> CacheQuestion:
    try:
        return msgspec.json.decode(body, type=CacheQuestion)
    except msgspec.MsgspecError as error:
        fields = ", ".join(CacheQuestion.__struct_fields__)
        raise GatewayError(Fault.INVALID, f"the question: {error}; it is JSON with {fields}") from None
    except RecursionError:
        raise GatewayError(Fault.INVALID, "the question is nested too deeply") from None
