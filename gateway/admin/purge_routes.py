"""``/cache/purge`` of the admin port: kept answers that are no longer to be given."""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec
from aiohttp import web

from gateway.admin.management_routes import json_handler
from gateway.core.errors import Fault, GatewayError
from gateway.core.purge import PurgeOrder, PurgeReport, Purges

PURGE: Final = "/cache/purge"
TAKE: Final = "/cache/purge/made"
RECEIPTS: Final = "/cache/purge/receipts"

T = TypeVar("T")


class ReceiptsQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has what ``report`` says was made, after ``wait_s`` at most."""

    report: PurgeReport
    wait_s: float


def purge_routes(purges: Purges) -> list[web.RouteDef]:
    """Return the route of operators: ``POST /cache/purge`` with a ``PurgeOrder``."""

    async def purge(request: web.Request) -> bytes:
        order = _decoded(await request.read(), PurgeOrder)
        report = await purges.purge(order)
        if order.wait_s:
            report = await purges.receipts(report, order.wait_s)
        return msgspec.json.encode(report) + b"\n"

    return [web.post(PURGE, json_handler(purge))]


def worker_purge_routes(purges: Purges) -> list[web.RouteDef]:
    """Return the routes on which the parent of several workers hands invalidations on."""

    async def take(request: web.Request) -> bytes:
        await purges.take(_decoded(await request.read(), tuple[msgspec.Raw, ...]))
        return b""

    async def receipts(request: web.Request) -> bytes:
        question = _decoded(await request.read(), ReceiptsQuestion)
        return msgspec.json.encode(await purges.receipts(question.report, question.wait_s))

    return [web.post(TAKE, json_handler(take)), web.post(RECEIPTS, json_handler(receipts))]


def _decoded(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        fields = ", ".join(PurgeOrder.__struct_fields__)
        raise GatewayError(Fault.INVALID, f"the order: {error}; it is JSON with {fields}") from None
    except RecursionError:
        raise GatewayError(Fault.INVALID, "the order is nested too deeply") from None
