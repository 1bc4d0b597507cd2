"""A worker as one of several."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gateway.admin.listener import AdminListener
from gateway.admin.management_routes import management_routes
from gateway.app.workers.coordinator import Coordinator
from gateway.app.workers.member import Member
from gateway.app.workers.messages import count_routes
from gateway.core.errors import Fault, GatewayError
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.operator import Counts, Loads, executions, nothing


class Worker:
    """One worker: what it counts, loads and logs, and itself as one of several."""

    def __init__(self, folder: Path, serial: int) -> None:
        self.socket = folder / f"{serial}.sock"
        self.counts, self.loads, self.log = Counts(serial), Loads(), LogSettings([f"worker{serial}"])
        self.traced: list[int] = []
        self.tracing = TraceSettings(self.traced.append)
        self.member = Member(
            folder / "parent.sock",
            serial,
            statistics=self.counts,
            repository=self.loads,
            log=self.log,
            tracing=self.tracing,
        )
        more = [
            *count_routes(self.counts),
            *management_routes(self.loads, self.log, self.tracing, index=self.loads.listed),
        ]
        self.listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=more)


class Family:
    """A parent and two workers, 1 and 2; more can be started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: dict[int, Worker] = {}

        def sockets() -> dict[int, Path]:
            return {serial: worker.socket for serial, worker in self.workers.items()}

        self.coordinator = Coordinator(
            sockets, sockets, log=LogSettings(["parent"]), tracing=TraceSettings([].append)
        )
        routes = self.coordinator.routes()
        self.parent = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=routes)

    async def start(self, serial: int) -> Worker:
        worker = self.workers[serial] = Worker(self.folder, serial)
        await worker.listener.start_at(str(worker.socket))
        return worker

    async def aclose(self) -> None:
        for listener in (self.parent, *(worker.listener for worker in self.workers.values())):
            await listener.aclose()


@pytest.fixture
async def family(tmp_path: Path):
    made = Family(tmp_path)
    await made.parent.start_at(str(tmp_path / "parent.sock"))
    for serial in (1, 2):
        await made.start(serial)
    yield made
    await made.aclose()
    for name in ("parent", "worker1", "worker2", "worker3"):
        logging.getLogger(name).setLevel(logging.NOTSET)


async def test_every_worker_says_the_same(family: Family) -> None:
    """Counts are those of all."""
    found = [executions(await worker.member.counted()) for worker in family.workers.values()]

    assert found == [3, 3]


async def test_last_word_about_each_tenant(family: Family) -> None:
    """Likewise."""
    for worker in family.workers.values():
        worker.counts.of = {"acme": 1, "a/b": 2}
    gone = family.workers.pop(1)
    await gone.member.leave_counts()
    await gone.listener.aclose()
    family.coordinator.forget(1)

    member = family.workers[2].member
    assert executions(await member.counted("acme")) == 2
    assert executions(await member.counted("a/b")) == 4


async def test_last_word(family: Family) -> None:
    """What a worker that leaves has counted until its end is not lost."""
    await family.workers[1].member.counted()
    gone = family.workers.pop(1)
    gone.counts.executions = 10
    await gone.member.leave_counts()
    await gone.listener.aclose()
    family.coordinator.forget(1)

    assert executions(await family.workers[2].member.counted()) == 12


async def test_changes_reach_the_others(family: Family) -> None:
    """A change in one is made in all; the index is read from this process's own repository."""
    one, other = family.workers[1], family.workers[2]

    await one.member.unload("a/b", dependents=True)
    await one.member.load("digits", {"config": "{}"})
    settings = await one.member.change({"log_info": False})
    tracing = await one.member.tracing.change({"trace_rate": ["7"], "trace_level": None})

    assert one.loads.done == other.loads.done
    assert other.loads.done == [("unload", "a/b", True), ("load", "digits", {"config": "{}"})]
    assert other.log.read()["log_info"] is settings["log_info"] is one.member.read()["log_info"] is False
    assert tracing["trace_rate"] == one.member.tracing.read()["trace_rate"] == ["7"]
    assert other.traced == [7]
    assert one.member.index() == one.loads.index()
    assert one.member.settings("four") == one.loads.settings("four")


async def test_worker_to_come_catches_up(family: Family) -> None:
    """It gets the changes that were made before it began; a model that was loaded again stays loaded."""
    member = family.workers[1].member
    for model in ("digits", "words"):
        await member.unload(model)
    await member.load("words", {})
    await member.change({"log_info": False})
    await member.tracing.change({"trace_level": ["OFF"]})

    late = await family.start(3)
    await late.member.catch_up()

    assert late.loads.done == [("unload", "digits", False)]
    assert late.log.read()["log_info"] is False
    assert late.traced == [0]


async def test_worker_to_come_loads_what_orders_brought(family: Family) -> None:
    """The configuration and the files, until a plain order; a worker that cannot load them starts all the same."""
    member = family.workers[1].member
    await member.load("digits", {"config": "{}", "file:1/model.onnx": b"\x00\xff"})
    await member.load("words", {"config": "{}"})
    await member.load("words", {})
    await member.load("gone", {"config": "{}"})
    await member.unload("gone")
    brought = {"config": "{}", "file:1/model.onnx": "AP8="}
    assert family.workers[2].loads.done[0] == ("load", "digits", brought)

    late = await family.start(3)
    await late.member.catch_up()
    assert late.loads.done == [("load", "digits", brought), ("unload", "gone", False)]

    failing = await family.start(4)
    failing.loads.failure = GatewayError(Fault.INVALID, "odd")
    await failing.member.catch_up()
    assert failing.loads.done == []


async def test_model_that_is_no_more(family: Family) -> None:
    """A worker starts all the same when the folder has lost a model that was unloaded."""
    await family.workers[1].member.unload("digits")
    late = await family.start(3)
    late.loads.failure = GatewayError(Fault.NOT_FOUND, "unknown")

    await late.member.catch_up()

    assert late.loads.done == []


async def test_refusal_is_passed_on(family: Family) -> None:
    """With its fault and its words, through two processes."""
    family.workers[2].loads.failure = GatewayError(Fault.UNSUPPORTED, "not this one")

    with pytest.raises(GatewayError, match="not this one") as refused:
        await family.workers[1].member.load("digits", {})

    assert refused.value.fault is Fault.UNSUPPORTED


async def test_parent_that_is_gone(family: Family, caplog: pytest.LogCaptureFixture) -> None:
    """A worker reports its own counts, and refuses changes."""
    await family.parent.aclose()
    member = family.workers[2].member

    assert executions(await member.counted()) == 2
    assert "this worker's alone" in caplog.text
    await member.leave_counts()
    with pytest.raises(GatewayError) as refused:
        await member.change({"log_info": False})
    assert refused.value.fault is Fault.UNAVAILABLE
    assert family.workers[2].log.read() == family.workers[1].log.read()
    assert repr(member) == "<Member of worker 2>"
