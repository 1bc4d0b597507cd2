"""Assembly of a whole process."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.admin.listener import AdminListener
from gateway.app.errors import StartError
from gateway.app.gateway import open_gateway
from gateway.app.workers.coordinator import Coordinator
from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.member import Member
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.operator import nothing
from tests.gateway.app.processes import CENTRAL, EDGE, get, get_json, settings
from tests.scenarios.world import UNSURE, picture


@pytest.mark.parametrize(
    ("text", "role", "sections"),
    [(EDGE, "edge", ["endpoints", "certificates", "models"]), (CENTRAL, "central", ["models"])],
)
async def test_each_role_serves(tmp_path: Path, text: str, role: str, sections: list[str]) -> None:
    """Its ports are open, it is ready, and it says what it is."""
    async with AsyncExitStack() as lifetimes:
        gateway = await open_gateway(settings(tmp_path, text), None, lifetimes)
        assert gateway.servers.http is not None
        assert gateway.servers.admin is not None

        status, _ = await get(gateway.servers.http.port, "/v2/health/ready")
        report = await get_json(gateway.servers.admin.port, "/readyz")
        metrics = (await get(gateway.servers.admin.port, "/metrics"))[1]

        assert status == 200
        assert list(report) == ["ready", "role", "region", "policy", *sections]
        assert (report["ready"], report["role"]) == (True, role)
        assert {**report, "policy": 0} == {**gateway.health(), "policy": 0}
        assert metrics == gateway.prometheus.render() or b"edgeway_" in metrics
        assert (await get_json(gateway.servers.admin.port, "/policy")) == report["policy"]
        assert (await get_json(gateway.servers.admin.port, "/stack"))["generation"] == report["policy"][
            "generation"
        ]
        assert repr(gateway).startswith(
            f"<Gateway {role} {report['region']} <Drain ready, 0 running>, <Servers"
        )
        await gateway.reload()
        assert gateway.generation() is gateway.foundation.in_force.current()


async def test_what_was_accepted_is_finished_before_anything_closes(tmp_path: Path) -> None:
    """Listeners close first, models last: a request in the stacks is answered."""
    lifetimes = AsyncExitStack()
    gateway = await open_gateway(settings(tmp_path, CENTRAL), None, lifetimes)

    answering = asyncio.ensure_future(gateway.generation()(picture(UNSURE)))
    await asyncio.sleep(0)
    await lifetimes.aclose()

    assert answering.done()
    assert (await answering).provenance.origin == "central"
    assert not gateway.foundation.is_ready()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_port_that_is_taken_closes_what_was_opened(tmp_path: Path) -> None:
    """The start ends and names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = EDGE.replace("grpc: '127.0.0.1:0'", f"grpc: '127.0.0.1:{taken.getsockname()[1]}'")
        async with AsyncExitStack() as lifetimes:
            with pytest.raises(StartError, match="cannot listen on"):
                await open_gateway(settings(tmp_path, text), None, lifetimes)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def log_levels():
    """The levels of the loggers are afterwards what they were."""
    loggers = [logging.getLogger(name) for name in ("edgeway", "gateway", "edge_models", "routing", "cache")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("log_levels")
async def test_a_worker_answers_for_all_and_leaves_its_counts(tmp_path: Path) -> None:
    """It catches up with what was changed before it began, and its parent keeps what it has counted."""
    workers: dict[int, Path] = {}
    coordinator = Coordinator(
        lambda: workers, lambda: workers, log=LogSettings(["parent"]), tracing=TraceSettings([].append)
    )
    parent = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=coordinator.routes())
    await parent.start_at(str(tmp_path / "parent.sock"))
    await coordinator.change({"log_info": False, "log_warning": False})
    with socket.create_server(("127.0.0.1", 0)) as shared:
        inheritance = Inheritance(
            number=0,
            serial=1,
            sockets={"http": os.dup(shared.fileno())},
            ready=-1,
            lifeline=-1,
            admin=str(tmp_path / "1.sock"),
            parent=str(tmp_path / "parent.sock"),
        )
        async with AsyncExitStack() as lifetimes:
            gateway = await open_gateway(settings(tmp_path, CENTRAL), inheritance, lifetimes)
            workers[1] = tmp_path / "1.sock"
            assert isinstance(gateway.extensions.repository, Member)
            assert gateway.extensions.logging.read()["log_warning"] is False
            await gateway.generation()(picture(UNSURE))

            await gateway.extensions.repository.unload("digits")

            assert gateway.tier.repository.index()[0].state == "UNAVAILABLE"
        workers.clear()
        counted = await coordinator.counted()

    assert sum(part.execution_count for part in counted.parts()) == 1
    await parent.aclose()
