"""``/endpoints`` of the admin port: who is in, who is out, and taking one of them out of service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from aiohttp import web

from gateway.admin.management_routes import json_handler
from gateway.core.control import EndpointControl
from gateway.core.errors import Fault, GatewayError


class DrainOrder(msgspec.Struct, forbid_unknown_fields=True):
    """Of what is drained or undrained; ``member`` empty: the endpoint as a whole."""

    member: Annotated[str, msgspec.Meta(max_length=1024)] = ""


def endpoint_routes(endpoints: EndpointControl) -> list[web.RouteDef]:
    """Return the routes: ``GET /endpoints``, ``POST /endpoints/NAME/drain`` and ``…/undrain``.

    The body of the latter two is empty, or ``{"member": NAME}`` with a name from the list.
    """

    async def listed(_request: web.Request) -> bytes:
        return msgspec.json.encode(await endpoints.listed()) + b"\n"

    def ordering(change: Callable[[str, str], Awaitable[None]]) -> Callable[[web.Request], Awaitable[bytes]]:
        async def order(request: web.Request) -> bytes:
            await change(request.match_info["endpoint"], _member(await request.read()))
            return b""

        return order

    return [
        web.get("/endpoints", json_handler(listed)),
        web.post("/endpoints/{endpoint}/drain", json_handler(ordering(endpoints.drain))),
        web.post("/endpoints/{endpoint}/undrain", json_handler(ordering(endpoints.undrain))),
    ]


def _member(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=DrainOrder).member if body else ""
    except msgspec.MsgspecError as error:
        raise GatewayError(Fault.INVALID, f'the body must be empty or {{"member": NAME}}: {error}') from None
