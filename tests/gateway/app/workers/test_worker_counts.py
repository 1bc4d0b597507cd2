"""Counts of all workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.admin.listener import AdminListener
from gateway.app.workers.messages import count_routes
from gateway.app.workers.worker_counts import WorkerCounts
from tests.fakes.operator import Counts, executions, nothing


class Fleet:
    """Workers that count, and the parent's sums of everybody and of one tenant."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[int, Counts] = {}
        self.sockets: dict[int, Path] = {}
        self._listeners: dict[int, AdminListener] = {}
        self.everybody = WorkerCounts(lambda: self.sockets)
        self.acme = WorkerCounts(lambda: self.sockets, "acme")

    async def start(self, serial: int, count: int, **tenants: int) -> None:
        self.counts[serial] = Counts(count, **tenants)
        listener = AdminListener(
            health=nothing, metrics=nothing, policy=nothing, more=count_routes(self.counts[serial])
        )
        self._listeners[serial] = listener
        self.sockets[serial] = self.folder / f"{serial}.sock"
        await listener.start_at(str(self.sockets[serial]))

    async def silence(self, serial: int) -> None:
        await self._listeners.pop(serial).aclose()

    async def aclose(self) -> None:
        for serial in list(self._listeners):
            await self.silence(serial)

    async def executions(self) -> int:
        return executions(await self.everybody.counted())


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Two workers that have counted 3 and 4, of which 1 and 2 for a tenant."""
    async with AsyncExitStack() as lifetimes:
        workers = Fleet(tmp_path)
        lifetimes.push_async_callback(workers.aclose)
        await workers.start(1, 3, acme=1)
        await workers.start(2, 4, acme=2)
        yield workers


async def test_tenants_counts(fleet: Fleet) -> None:
    """They are sums of their own."""
    assert executions(await fleet.acme.counted()) == 3
    assert repr(fleet.acme) == "<WorkerCounts at /statistics/tenants/acme of 2 workers>"


async def test_counts_add_up(fleet: Fleet) -> None:
    """Each call returns the sum of all."""
    assert await fleet.executions() == 7


async def test_silent_worker_counts_as_it_did_last(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The last counts of a worker that does not answer are used; the log names the worker."""
    await fleet.executions()
    await fleet.silence(1)
    fleet.counts[2].executions = 10

    assert await fleet.executions() == 13
    assert "process 1" in caplog.text


async def test_stuck_worker_is_not_waited_for(fleet: Fleet) -> None:
    """It accepts the call and never answers; the others' counts are returned without it."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    fleet.sockets[3] = fleet.folder / "3.sock"
    server = await asyncio.start_unix_server(never, fleet.sockets[3])
    async with asyncio.timeout(30), server:
        assert await fleet.executions() == 7


async def test_counts_of_workers_that_are_gone_stay(fleet: Fleet) -> None:
    """A worker that leaves sends its final counts; of one that dies the last counts are kept."""
    await fleet.executions()
    counts = await Counts(5).counted()
    fleet.everybody.keep_final(1, counts)
    # It still listens for a moment; what it counts then must not replace its final counts.
    assert await fleet.executions() == 9
    for serial in (1, 2):
        await fleet.silence(serial)
        del fleet.sockets[serial]
        fleet.everybody.forget(serial)
    await fleet.start(3, 1)

    assert await fleet.executions() == 10


async def test_many_questions_are_one_round(fleet: Fleet) -> None:
    """Any client may ask for statistics; the workers get one round of calls after the other."""
    answers = await asyncio.gather(*(fleet.executions() for _ in range(50)))

    assert set(answers) == {7}
    assert fleet.counts[1].reports <= 2
