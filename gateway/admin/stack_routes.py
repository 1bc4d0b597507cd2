"""``GET /stack`` of the admin port: the stacks in force, layer by layer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from gateway.core.errors import without_folders


def stack_routes(report: Callable[[], Awaitable[Any]]) -> Sequence[web.RouteDef]:
    """Return the route; ``report`` describes the stacks as they are now."""

    async def show(_request: web.Request) -> web.Response:
        body = without_folders(msgspec.json.encode(await report()).decode()) + "\n"
        return web.Response(body=body.encode(), content_type="application/json")

    return [web.get("/stack", show)]
