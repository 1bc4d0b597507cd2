"""A purge of several workers: one makes it, all obey."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from gateway.admin.listener import AdminListener
from gateway.admin.purge_routes import purge_routes, worker_purge_routes
from gateway.app.workers.ipc import call
from gateway.app.workers.messages import DesiredState
from gateway.app.workers.shared_purges import SharedPurges
from gateway.core.errors import Fault, GatewayError
from gateway.core.purge import PurgeOrder
from tests.fakes.operator import nothing
from tests.gateway.admin.test_purge_routes import Purging


async def start(
    folder: Path, lifetimes: AsyncExitStack, *workers: Purging, refusals: tuple[GatewayError, ...] = ()
) -> tuple[SharedPurges, DesiredState]:
    sockets: dict[int, Path] = {0: folder / "gone"}
    for serial, worker in enumerate(workers, 1):
        routes = [*purge_routes(worker), *worker_purge_routes(worker)]
        listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=routes)
        sockets[serial] = folder / str(serial)
        await listener.start_at(str(sockets[serial]))
        lifetimes.push_async_callback(listener.aclose)

    async def change_all(path: str, body: bytes) -> tuple[int, list[GatewayError]]:
        for serial in range(1, len(workers) + 1):
            await call(sockets[serial], path, body, limit_s=30)
        return len(workers), list(refusals)

    desired = DesiredState()
    return SharedPurges(lambda: sockets, change_all, desired), desired


async def test_one_makes_it_and_all_obey(tmp_path: Path) -> None:
    """So do workers to come, where no log tells them."""
    one, other = Purging(), Purging()
    async with AsyncExitStack() as lifetimes:
        shared, desired = await start(tmp_path, lifetimes, one, other)
        report = await shared.purge(PurgeOrder(model="digits", wait_s=5))
        report = await shared.receipts(report, 5.0)

    assert len(one.orders) == 1
    assert one.waited == [5.0]
    assert not other.orders
    assert one.taken == other.taken == [b'{"number":7}']
    assert desired.invalidated == [{"number": 7}]
    assert report.readers
    assert "1 for workers to come" in repr(shared)


async def test_a_log_tells_workers_to_come(tmp_path: Path) -> None:
    """They read it before they serve."""
    async with AsyncExitStack() as lifetimes:
        shared, desired = await start(tmp_path, lifetimes, Purging())
        await shared.take((msgspec.Raw(b'{"number":7,"log":"eu"}'),))

    assert desired.invalidated == []


async def test_what_is_kept_for_them_is_bounded(tmp_path: Path) -> None:
    """Beyond a thousand it is everything, as late as the last one."""
    async with AsyncExitStack() as lifetimes:
        shared, desired = await start(tmp_path, lifetimes)
        for number in range(1, 1002):
            await shared.take((msgspec.Raw(b'{"scope":{"model":"m"},"number":%d}' % number),))

    assert desired.invalidated == [{"scope": {}, "number": 1001}]


async def test_a_worker_that_does_not_obey_is_an_error(tmp_path: Path) -> None:
    """The operator tries again; so it is where none answers at all."""
    refusal = GatewayError(Fault.UNAVAILABLE, "a worker did not answer")
    async with AsyncExitStack() as lifetimes:
        shared, _ = await start(tmp_path, lifetimes, Purging(), refusals=(refusal,))
        with pytest.raises(GatewayError, match="did not answer"):
            await shared.purge(PurgeOrder(all=True))
        shared, _ = await start(tmp_path, lifetimes)
        with pytest.raises(GatewayError, match="no worker answers"):
            await shared.purge(PurgeOrder(all=True))
