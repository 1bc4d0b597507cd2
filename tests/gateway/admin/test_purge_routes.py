"""/cache/purge of the admin port."""

from __future__ import annotations

import aiohttp
import msgspec
import pytest

from gateway.admin.access import AdminAccess
from gateway.admin.listener import AdminListener
from gateway.admin.purge_routes import PURGE, RECEIPTS, TAKE, purge_routes, worker_purge_routes
from gateway.core.errors import Fault, GatewayError
from gateway.core.operator import OperatorTokens
from gateway.core.purge import PurgeOrder, PurgeReader, PurgeReport
from tests.fakes.operator import nothing

MADE = (msgspec.Raw(b'{"number":7}'),)


class Purging:
    """Keeps orders, and what it is given; refuses the model ``unknown``. One reader has what was made."""

    def __init__(self) -> None:
        self.orders: list[PurgeOrder] = []
        self.taken: list[bytes] = []
        self.waited: list[float] = []
        self.report = PurgeReport(made=MADE, routes=("digits",), is_everywhere=True)

    async def purge(self, order: PurgeOrder) -> PurgeReport:
        if order.model == "unknown":
            raise GatewayError(Fault.INVALID, "name a model")
        self.orders.append(order)
        return self.report

    async def take(self, made: tuple[msgspec.Raw, ...]) -> None:
        self.taken += map(bytes, made)

    async def receipts(self, report: PurgeReport, wait_s: float) -> PurgeReport:
        self.waited.append(wait_s)
        reader = PurgeReader(name="eu/1", region="eu", has_it=True)
        return msgspec.structs.replace(report, readers=(reader,))


async def post(purges: Purging, path: str, body: bytes, access: AdminAccess | None = None):
    routes = [*purge_routes(purges), *worker_purge_routes(purges)]
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=routes)
    await listener.start("127.0.0.1", 0, access)
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{listener.port}{path}", data=body) as answer,
        ):
            return answer.status, await answer.read()
    finally:
        await listener.aclose()


async def test_an_order_is_obeyed_and_waited_for() -> None:
    """Only where it wants that."""
    purges = Purging()
    status, body = await post(purges, PURGE, b'{"model": "digits"}')
    assert (status, msgspec.json.decode(body, type=PurgeReport).readers) == (200, None)

    _, body = await post(purges, PURGE, b'{"model": "digits", "wait_s": 2}')

    assert [order.model for order in purges.orders] == ["digits", "digits"]
    assert purges.waited == [2.0]
    readers = msgspec.json.decode(body, type=PurgeReport).readers
    assert readers
    assert readers[0].has_it


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model": 1}', b"\xff", b'{"model": "unknown"}', b"[" * 9000])
async def test_what_is_no_order_is_refused(body: bytes) -> None:
    """And says which fields there are."""
    status, answer = await post(Purging(), PURGE, body)

    assert status == 400
    assert b"model" in answer or b"deeply" in answer


async def test_only_operators_purge() -> None:
    """Without the token nothing is read."""
    purges = Purging()
    access = AdminAccess(OperatorTokens(["a" * 64]), hosts=("127.0.0.1",))

    status, _ = await post(purges, PURGE, b'{"all": true}', access)

    assert (status, purges.orders) == (401, [])


async def test_workers_hand_on_what_was_made() -> None:
    """And have one of them look who has it."""
    purges = Purging()
    assert (await post(purges, TAKE, msgspec.json.encode(MADE)))[0] == 200
    body = msgspec.json.encode({"report": PurgeReport(made=MADE), "wait_s": 3})

    status, answer = await post(purges, RECEIPTS, body)

    assert purges.taken == [b'{"number":7}']
    assert (status, purges.waited) == (200, [3.0])
    assert msgspec.json.decode(answer, type=PurgeReport).made == MADE
