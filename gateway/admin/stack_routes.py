"""``GET /stack`` of the admin port: the stacks in force, layer by layer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web


def stack_routes(report: Callable[[], Awaitable[Any]]) -> Sequence[web.RouteDef]:
    """Return the route; ``report`` describes the stacks as they are now."""

    async def show(_request: web.Request) -> web.Response:
        body = msgspec.json.encode(await report()) + b"\n"
        return web.Response(body=body, content_type="application/json")

    return [web.get("/stack", show)]
