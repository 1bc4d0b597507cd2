"""The parent of several workers: what it binds, opens, reports, and which signals it takes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.errors import StartError
from tests.fakes.redis_server import free_port
from tests.gateway.app.processes import get_json
from tests.gateway.app.workers.play import SETTINGS, Play, is_alive, processes


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """A supervisor whose pauses are short."""
    return Play(tmp_path, monkeypatch)


async def test_it_reports_its_workers(play: Play) -> None:
    """On its admin port, by slot; the addresses are those that were bound."""
    async with play.open() as workers:
        report = await workers.report()

        assert report == {
            "ready": True,
            "role": "central",
            "region": "here",
            "workers": [
                {"number": number, "process": process, "ready": True}
                for number, process in processes(workers).items()
            ],
        }
        assert workers.admin is not None
        assert await get_json(workers.admin.port, "/readyz") == report
        ports = {name: bound.getsockname()[1] for name, bound in workers.shared.sockets.items()}
        addresses = f"http port {ports['http']}, grpc port {ports['grpc']}, admin port {workers.admin.port}"
        assert repr(workers) == f"<Workers {workers.pool!r}, {addresses}>"


async def test_settings_that_changed_hold_for_new_workers(play: Play) -> None:
    """How long one may take to leave is read again when all are replaced."""
    async with play.open() as workers:
        assert workers.pool.workers[0].leave_limit_s == pytest.approx(0.2)
        play.file.write_text(SETTINGS.replace("drain_timeout_s: 1", "drain_timeout_s: 3"))

        await workers.replace_all()

        assert workers.pool.workers[0].leave_limit_s == pytest.approx(2.2)


async def test_addresses_that_changed_need_the_parent_anew(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the settings; workers are replaced nevertheless, on the addresses that there are."""
    async with play.open() as workers:
        before = processes(workers)
        await workers.replace_all()
        assert "the parent of all workers" not in caplog.text
        lists = f"grpc: ['127.0.0.1:0', '127.0.0.1:{free_port()}'], admin: ['127.0.0.1:{free_port()}']"
        text = SETTINGS.replace("grpc: '127.0.0.1:0', admin: '127.0.0.1:0'", lists)
        assert text != SETTINGS
        play.file.write_text(text)

        await workers.replace_all()

        assert not set(processes(workers).values()) & set(before.values())
    assert "listen.grpc, listen.admin: the parent of all workers listens on the addresses" in caplog.text


@pytest.mark.parametrize("port", ["http", "grpc", "admin"])
async def test_address_that_is_taken(play: Play, port: str) -> None:
    """The start ends before there is any worker."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        play.file.write_text(SETTINGS.replace(f"{port}: '127.0.0.1:0'", f"{port}: '{address}'"))

        async with AsyncExitStack() as lifetimes:
            with pytest.raises(StartError, match=f"cannot listen on {address}"):
                await play.supervisor().open(lifetimes)


async def test_absent_addresses(play: Play) -> None:
    """What is null is not bound."""
    play.file.write_text(
        SETTINGS.replace("grpc: '127.0.0.1:0', admin: '127.0.0.1:0'", "grpc: null, admin: null")
    )
    async with play.open() as workers:
        assert set(workers.shared.sockets) == {"http"}
        assert workers.admin is None


@pytest.mark.parametrize("leave", [signal.SIGTERM, signal.SIGINT])
async def test_signals(play: Play, leave: signal.Signals) -> None:
    """SIGHUP replaces all workers; the others let them drain, and nothing is left."""
    port = free_port()
    play.file.write_text(SETTINGS.replace("admin: '127.0.0.1:0'", f"admin: '127.0.0.1:{port}'"))
    supervisor = play.supervisor()
    assert repr(supervisor) == f"<Supervisor of 2 workers, {play.file}>"
    running = asyncio.create_task(supervisor.run())

    before = await reported(port, without=set())
    os.kill(os.getpid(), signal.SIGHUP)
    after = await reported(port, without=before)
    os.kill(os.getpid(), leave)
    async with asyncio.timeout(30):
        await running

    assert not any(map(is_alive, before | after))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def reported(port: int, *, without: set[int]) -> set[int]:
    """The processes of two workers that serve, none of them in ``without``."""
    async with asyncio.timeout(30):
        while True:
            try:
                report = await get_json(port, "/readyz")
            except OSError:
                report = {"workers": []}
            found = {each["process"] for each in report["workers"] if each["ready"]} - without
            if len(found) == 2:
                return found
            await asyncio.sleep(0.01)
