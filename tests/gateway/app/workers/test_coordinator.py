"""The parent's sums of what workers count, and the changes that it makes in all of them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.admin.listener import AdminListener
from gateway.admin.management_routes import management_routes
from gateway.app.workers.coordinator import Coordinator
from gateway.app.workers.messages import count_routes
from gateway.core.errors import Fault, GatewayError
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.operator import Counts, Loads, executions, nothing


class Fleet:
    """Workers on UNIX sockets: serial → what each counts, loads and logs; and the coordinator of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[int, Counts] = {}
        self.loads: dict[int, Loads] = {}
        self.sockets: dict[int, Path] = {}
        self.traced: list[int] = []
        self._listeners: dict[int, AdminListener] = {}
        self.coordinator = Coordinator(
            lambda: self.sockets,
            lambda: self.sockets,
            log=LogSettings(["parent"]),
            tracing=TraceSettings(self.traced.append),
        )

    async def start(self, serial: int, executions: int) -> None:
        self.counts[serial], self.loads[serial] = Counts(executions), Loads()
        loads, tracing = self.loads[serial], TraceSettings(self.traced.append)
        log = LogSettings([f"worker{serial}"])
        more = [
            *count_routes(self.counts[serial]),
            *management_routes(loads, log, tracing, index=loads.listed),
        ]
        listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=more)
        self._listeners[serial] = listener
        self.sockets[serial] = self.folder / f"{serial}.sock"
        await listener.start_at(str(self.sockets[serial]))

    async def silence(self, serial: int) -> None:
        await self._listeners.pop(serial).aclose()

    async def aclose(self) -> None:
        for serial in list(self._listeners):
            await self.silence(serial)

    async def executions(self) -> int:
        return executions(await self.coordinator.counted())


@pytest.fixture
async def fleet(tmp_path: Path):
    """Two workers that have counted 3 and 4."""
    names = ("parent", "worker1", "worker2")
    async with AsyncExitStack() as lifetimes:
        workers = Fleet(tmp_path)
        lifetimes.push_async_callback(workers.aclose)
        for serial, count in ((1, 3), (2, 4)):
            await workers.start(serial, count)
        yield workers
    for name in names:
        logging.getLogger(name).setLevel(logging.NOTSET)


async def test_counts_of_everybody_and_of_each_tenant(fleet: Fleet) -> None:
    """Those of workers that are gone among them."""
    for serial in (1, 2):
        fleet.counts[serial].of = {"acme": 2}
    assert await fleet.executions() == 7
    assert executions(await fleet.coordinator.counted("acme")) == 4
    assert executions(await fleet.coordinator.counted("a/b")) == 0

    fleet.coordinator.keep_final(1, await Counts(5).counted(), "acme")
    await fleet.silence(1)
    del fleet.sockets[1]
    fleet.coordinator.forget(1)

    assert executions(await fleet.coordinator.counted("acme")) == 7
    assert await fleet.executions() == 7


async def test_changes_reach_all(fleet: Fleet) -> None:
    """Every worker loads, unloads and changes its log, and so does the parent's log."""
    await fleet.coordinator.unload("digits")
    await fleet.coordinator.load("digits", {})
    settings = await fleet.coordinator.change({"log_info": False, "log_warning": False})

    for serial in (1, 2):
        assert fleet.loads[serial].done == [("unload", "digits", False), ("load", "digits", {})]
        assert logging.getLogger(f"worker{serial}").level == logging.ERROR
    assert settings["log_warning"] is False
    assert logging.getLogger("parent").level == logging.ERROR


async def test_what_orders_bring_has_a_bound(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all models: the parent keeps it for workers to come."""
    monkeypatch.setattr("gateway.app.workers.coordinator.MOST_OVERRIDES", 4000)
    half = {"config": "x" * 2000}
    await fleet.coordinator.load("digits", half)
    await fleet.coordinator.load("digits", half)
    done = list(fleet.loads[1].done)

    with pytest.raises(
        GatewayError, match="failed to load 'words': with what is kept for other models"
    ) as refused:
        await fleet.coordinator.load("words", half)

    assert refused.value.fault is Fault.INVALID
    assert fleet.loads[1].done == done
    await fleet.coordinator.load("digits", {})
    await fleet.coordinator.load("words", half)


async def test_index_is_any_workers(fleet: Fleet) -> None:
    """All hold the same models; when no worker answers, that is the error."""
    await fleet.silence(1)
    assert await fleet.coordinator.index() == fleet.loads[2].index()

    await fleet.silence(2)
    with pytest.raises(GatewayError, match="no worker answers"):
        await fleet.coordinator.index()


async def test_refused_change_is_not_kept(fleet: Fleet) -> None:
    """A worker's error is raised; workers to come get the change only if another worker has made it."""
    for serial in (1, 2):
        fleet.loads[serial].failure = GatewayError(Fault.NOT_FOUND, "unknown")
    with pytest.raises(GatewayError, match="unknown"):
        await fleet.coordinator.unload("x")
    assert repr(fleet.coordinator) == "<Coordinator of 2 workers, unloaded []>"

    fleet.loads[1].failure = None
    with pytest.raises(GatewayError, match="unknown"):
        await fleet.coordinator.unload("x")
    assert repr(fleet.coordinator) == "<Coordinator of 2 workers, unloaded ['x']>"


async def test_change_that_is_not_made_in_time(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others have made it; the operator gets the error that not all have."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr("gateway.app.workers.coordinator.CHANGE_LIMIT_S", 0.2)
    fleet.sockets[3] = fleet.folder / "3.sock"
    async with asyncio.timeout(30), await asyncio.start_unix_server(never, fleet.sockets[3]):
        with pytest.raises(GatewayError, match="did not answer"):
            await fleet.coordinator.unload("digits")

    assert fleet.loads[1].done == fleet.loads[2].done == [("unload", "digits", False)]


async def test_worker_that_does_not_listen_yet_is_passed_over(fleet: Fleet) -> None:
    """It gets the desired state before it serves."""
    fleet.sockets[4] = fleet.folder / "4.sock"

    await fleet.coordinator.unload("digits")

    assert repr(fleet.coordinator) == "<Coordinator of 3 workers, unloaded ['digits']>"


async def test_no_worker_makes_the_change(fleet: Fleet) -> None:
    """While all workers are only starting, a change is neither made nor kept for later, and is refused."""
    for serial in (1, 2):
        await fleet.silence(serial)

    with pytest.raises(GatewayError, match="no worker answers"):
        await fleet.coordinator.unload("digits")

    assert repr(fleet.coordinator) == "<Coordinator of 2 workers, unloaded []>"
