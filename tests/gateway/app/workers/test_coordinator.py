"""The parent's sums of what workers count, and its orders to all of them."""

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


class Crew:
    """Workers on UNIX sockets: serial → what each counts, loads and logs; and the relay to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[int, Counts] = {}
        self.loads: dict[int, Loads] = {}
        self.sockets: dict[int, Path] = {}
        self.traced: list[int] = []
        self._listeners: dict[int, AdminListener] = {}
        self.relay = Coordinator(
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
        return executions(await self.relay.counted())


@pytest.fixture
async def crew(tmp_path: Path):
    """Two workers that have counted 3 and 4."""
    names = ("parent", "worker1", "worker2")
    async with AsyncExitStack() as lifetimes:
        workers = Crew(tmp_path)
        lifetimes.push_async_callback(workers.aclose)
        for serial, count in ((1, 3), (2, 4)):
            await workers.start(serial, count)
        yield workers
    for name in names:
        logging.getLogger(name).setLevel(logging.NOTSET)


async def test_counts_add_up(crew: Crew) -> None:
    """Whoever is asked says the same."""
    assert await crew.executions() == 7


async def test_silent_worker_counts_as_it_did_last(crew: Crew, caplog: pytest.LogCaptureFixture) -> None:
    """What was told once is not taken back; the log says whose counts are old."""
    await crew.executions()
    await crew.silence(1)
    crew.counts[2].executions = 10

    assert await crew.executions() == 13
    assert "process 1" in caplog.text


async def test_stuck_worker_is_not_waited_for(crew: Crew) -> None:
    """It accepts the question and never answers; the others' counts are told without it."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    crew.sockets[3] = crew.folder / "3.sock"
    server = await asyncio.start_unix_server(never, crew.sockets[3])
    async with asyncio.timeout(30), server:
        assert await crew.executions() == 7


async def test_counts_of_workers_that_are_gone_stay(crew: Crew) -> None:
    """A worker that leaves tells its last; after one that dies stands what it told last."""
    await crew.executions()
    counts = await Counts(5).counted()
    crew.relay.settle(1, counts)
    # It still listens for a moment, and must not be taken for less than its last word.
    assert await crew.executions() == 9
    for serial in (1, 2):
        await crew.silence(serial)
        del crew.sockets[serial]
        crew.relay.forget(serial)
    await crew.start(3, 1)

    assert await crew.executions() == 10


async def test_many_questions_are_one_round(crew: Crew) -> None:
    """Anybody may ask; the workers are asked no oftener than one after the other."""
    answers = await asyncio.gather(*(crew.executions() for _ in range(50)))

    assert set(answers) == {7}
    assert crew.counts[1].reports <= 2


async def test_orders_reach_all(crew: Crew) -> None:
    """Every worker loads, unloads and changes its log, and so does the parent's log."""
    await crew.relay.unload("digits")
    await crew.relay.load("digits", {})
    settings = await crew.relay.change({"log_info": False, "log_warning": False})

    for serial in (1, 2):
        assert crew.loads[serial].done == [("unload", "digits", False), ("load", "digits", {})]
        assert logging.getLogger(f"worker{serial}").level == logging.ERROR
    assert settings["log_warning"] is False
    assert logging.getLogger("parent").level == logging.ERROR


async def test_index_is_any_workers(crew: Crew) -> None:
    """They all hold the same; when nobody answers, that is said."""
    await crew.silence(1)
    assert await crew.relay.index() == crew.loads[2].index()

    await crew.silence(2)
    with pytest.raises(GatewayError, match="no worker answers"):
        await crew.relay.index()


async def test_refused_order_does_not_stand(crew: Crew) -> None:
    """What a worker says against it is raised; workers to come are told of it only if another has done it."""
    for serial in (1, 2):
        crew.loads[serial].failure = GatewayError(Fault.NOT_FOUND, "unknown")
    with pytest.raises(GatewayError, match="unknown"):
        await crew.relay.unload("x")
    assert repr(crew.relay) == "<Coordinator to 2 workers, unloaded []>"

    crew.loads[1].failure = None
    with pytest.raises(GatewayError, match="unknown"):
        await crew.relay.unload("x")
    assert repr(crew.relay) == "<Coordinator to 2 workers, unloaded ['x']>"


async def test_order_that_is_not_done_in_time(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others have done it; whoever ordered it hears that not all have."""

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr("gateway.app.workers.coordinator.ORDER_S", 0.2)
    crew.sockets[3] = crew.folder / "3.sock"
    async with asyncio.timeout(30), await asyncio.start_unix_server(never, crew.sockets[3]):
        with pytest.raises(GatewayError, match="did not answer"):
            await crew.relay.unload("digits")

    assert crew.loads[1].done == crew.loads[2].done == [("unload", "digits", False)]


async def test_worker_that_does_not_listen_yet_is_passed_over(crew: Crew) -> None:
    """It asks for the orders that stand before it serves."""
    crew.sockets[4] = crew.folder / "4.sock"

    await crew.relay.unload("digits")

    assert repr(crew.relay) == "<Coordinator to 3 workers, unloaded ['digits']>"


async def test_nobody_takes_the_order(crew: Crew) -> None:
    """While all workers are only starting an order is neither done nor kept for later, and that is said."""
    for serial in (1, 2):
        await crew.silence(serial)

    with pytest.raises(GatewayError, match="no worker answers"):
        await crew.relay.unload("digits")

    assert repr(crew.relay) == "<Coordinator to 2 workers, unloaded []>"
