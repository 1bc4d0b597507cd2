"""The parent of several workers, over worker processes that only do what a parent sees of them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app.errors import StartError
from gateway.app.workers import supervisor as module
from gateway.app.workers import worker
from gateway.app.workers.supervisor import Supervisor
from gateway.config.settings import load_settings

WORKER = """\
#!{python} -SE
import json, os, select, signal, sys
told = json.loads(sys.argv[sys.argv.index("--inherit") + 1])
mode = open({mode!r}).read()
if mode == "fail":
    sys.exit("no")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode != "stuck":
    os.write(told["ready"], b"1")
    os.close(told["ready"])
if mode == "crash":
    sys.exit(3)
select.select([told["lifeline"]], [], [])
"""

SETTINGS = """\
role: central
region: here
workers: 2
listen: {http: '127.0.0.1:0', grpc: '127.0.0.1:0', admin: '127.0.0.1:0'}
models: {repository: models}
resilience: {drain: {drain_time_s: 0, drain_timeout_s: 1}}
"""


class Play:
    """A supervisor, and what its workers shall do from now on."""

    def __init__(self, folder: Path) -> None:
        self.file, self._mode = folder / "settings.yaml", folder / "mode"
        self.file.write_text(SETTINGS)
        self.worker = folder / "worker"
        self.worker.write_text(WORKER.format(python=sys.executable, mode=str(self._mode)))
        self.worker.chmod(0o755)
        self.workers_shall("serve")
        self.supervisor = Supervisor(self.file, load_settings(self.file, {}), 2)

    def workers_shall(self, mode: str) -> None:
        self._mode.write_text(mode)

    async def processes(self) -> dict[int, int]:
        report = await self.supervisor.report()
        return {each["number"]: each["process"] for each in report["workers"]}

    async def is_ready(self) -> bool:
        return bool((await self.supervisor.report())["ready"])

    async def wait(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(30):
            while True:
                found = condition()
                if (await found) if asyncio.iscoroutine(found) else found:
                    return
                await asyncio.sleep(0.01)

    @asynccontextmanager
    async def running(self):
        running = asyncio.create_task(self.supervisor.run())
        try:
            await self.wait(lambda: self.is_ready() if not running.done() else running.result())
            yield running
        finally:
            self.supervisor._stop()
            await running


@pytest.fixture
def play(tmp_path: Path, monkeypatch) -> Play:
    """A supervisor whose pauses are short."""
    made = Play(tmp_path)
    monkeypatch.setattr(module.sys, "executable", str(made.worker))
    for place in (module, worker):
        monkeypatch.setattr(place, "PAUSE_S", (0.02, 0.1))
    monkeypatch.setattr(module, "_KILL_EXTRA_S", -0.8)
    return made


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_life(play: Play) -> None:
    """Workers start, are told of, and leave when the parent is asked to."""
    assert repr(play.supervisor) == "<Supervisor 0 of 2 workers ready>"
    async with play.running():
        processes = await play.processes()

        assert set(processes) == {0, 1}
        assert all(map(is_alive, processes.values()))
        assert repr(play.supervisor) == "<Supervisor 2 of 2 workers ready>"
        assert repr(play.supervisor._workers[1]) == f"<Worker 1 ready, process {processes[1]}>"

    assert not any(map(is_alive, processes.values()))
    assert not await play.is_ready()


async def test_dead_worker_is_replaced(play: Play, caplog) -> None:
    """The other stays, and the parent stays ready."""
    async with play.running():
        before = await play.processes()

        os.kill(before[0], signal.SIGKILL)
        await play.wait(lambda: "takes the place of the one that died" in caplog.text)

        after = await play.processes()
        assert after[0] != before[0]
        assert after[1] == before[1]
        assert await play.is_ready()


async def test_dead_worker_is_replaced_as_soon_as_one_starts(play: Play, caplog) -> None:
    """Successors that fail are tried again; until one serves, the dead one's place is told as not ready."""
    async with play.running():
        before = await play.processes()
        play.workers_shall("fail")

        os.kill(before[0], signal.SIGKILL)
        await play.wait(lambda: "died with exit code" in caplog.text)
        await asyncio.sleep(0.2)
        report = await play.supervisor.report()
        assert [worker["ready"] for worker in report["workers"]] == [False, True]
        assert report["ready"]

        play.workers_shall("serve")
        await play.wait(lambda: "takes the place of the one that died" in caplog.text)


async def test_worker_that_dies_again_and_again(play: Play, caplog) -> None:
    """Each successor is waited for longer than the last, up to the limit."""
    async with play.running():
        before = await play.processes()
        play.workers_shall("crash")

        os.kill(before[0], signal.SIGKILL)
        await play.wait(lambda: caplog.text.count("died with exit code 3") >= 4)

        assert play.supervisor._workers[0].pause_s == 0.1
        assert (await play.processes())[1] == before[1]
        play.workers_shall("serve")


async def test_process_that_cannot_be_made(play: Play, caplog) -> None:
    """It is tried again like one that does not start; at the beginning it ends the start."""
    async with play.running():
        play.worker.rename(play.worker.with_suffix(".away"))
        os.kill((await play.processes())[0], signal.SIGKILL)
        await play.wait(lambda: "a worker cannot be started: No such file" in caplog.text)

        play.worker.with_suffix(".away").rename(play.worker)
        await play.wait(lambda: "takes the place of the one that died" in caplog.text)

    play.worker.unlink()
    with pytest.raises(StartError, match="a worker cannot be started"):
        await play.supervisor.run()


async def test_sighup_replaces_one_after_the_other(play: Play) -> None:
    """There are never fewer than two that serve; signals that come together are one."""
    async with play.running():
        before = await play.processes()

        for _ in range(3):
            play.supervisor._keep(play.supervisor._replace_all(play.supervisor._serial))
        fewest = 2
        while len(play.supervisor._keepers) > 2:
            fewest = min(fewest, sum(worker.is_ready for worker in play.supervisor._workers.values()))
            await asyncio.sleep(0.002)

        after = await play.processes()
        assert fewest == 2
        assert not set(after.values()) & set(before.values())
        assert play.supervisor._serial == 4
        assert not any(map(is_alive, before.values()))


async def test_sighup_with_what_cannot_be_used(play: Play, caplog) -> None:
    """Settings that cannot be read and workers that do not start leave everybody in place."""
    async with play.running():
        before = await play.processes()

        play.file.write_text("role: nobody\n")
        await play.supervisor._replace_all(play.supervisor._serial)
        assert "the settings were not taken, all workers stay" in caplog.text
        play.file.write_text(SETTINGS)
        play.workers_shall("fail")
        await play.supervisor._replace_all(play.supervisor._serial)
        assert "the new worker does not start" in caplog.text

        assert await play.processes() == before
        assert all(map(is_alive, before.values()))


async def test_death_during_sighup_leaves_no_one_too_many(play: Play) -> None:
    """One successor for each place, whoever starts it."""
    async with play.running():
        before = await play.processes()

        play.supervisor._keep(play.supervisor._replace_all(play.supervisor._serial))
        for process in before.values():
            os.kill(process, signal.SIGKILL)
        await play.wait(lambda: len(play.supervisor._alive) == 2 and len(play.supervisor._keepers) == 2)
        await asyncio.sleep(0.1)

        assert len(play.supervisor._alive) == 2
        assert set(play.supervisor._alive) == set(play.supervisor._workers.values())
        assert not set((await play.processes()).values()) & set(before.values())


async def test_worker_that_does_not_leave_is_killed(play: Play, caplog) -> None:
    """After the time for a drain and a little more."""
    play.workers_shall("stubborn")
    async with play.running():
        processes = await play.processes()

    assert not any(map(is_alive, processes.values()))
    assert "did not leave within 0.2 s and is killed" in caplog.text


async def test_workers_that_do_not_start(play: Play) -> None:
    """The start ends."""
    play.workers_shall("fail")

    with pytest.raises(StartError, match="a worker did not start; its reason stands above"):
        await play.supervisor.run()


async def test_worker_that_is_stuck(play: Play, monkeypatch, caplog) -> None:
    """One that neither serves nor ends has as long as a start may take."""
    monkeypatch.setattr(worker, "START_S", 0.1)
    play.workers_shall("stuck")

    with pytest.raises(StartError):
        await play.supervisor.run()
    assert "starting, process" in caplog.text
    assert "does not get ready" in caplog.text


async def test_leaving_during_the_start(play: Play) -> None:
    """It is no failure, and workers that are not ready are not waited for."""
    play.workers_shall("stuck")
    running = asyncio.create_task(play.supervisor.run())
    await play.wait(lambda: len(play.supervisor._alive) == 2)

    play.supervisor._stop()
    async with asyncio.timeout(30):
        await running

    assert not play.supervisor._alive


@pytest.mark.parametrize("port", ["http", "grpc", "admin"])
async def test_address_that_is_taken(play: Play, port: str) -> None:
    """The start ends before there is any worker."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        play.file.write_text(SETTINGS.replace(f"{port}: '127.0.0.1:0'", f"{port}: '{address}'"))
        supervisor = Supervisor(play.file, load_settings(play.file, {}), 2)

        with pytest.raises(StartError, match=f"cannot listen on {address}"):
            await supervisor.run()


async def test_absent_addresses(play: Play) -> None:
    """What is null is not bound."""
    play.file.write_text(
        SETTINGS.replace("grpc: '127.0.0.1:0', admin: '127.0.0.1:0'", "grpc: null, admin: null")
    )
    play.supervisor = Supervisor(play.file, load_settings(play.file, {}), 2)
    async with play.running():
        assert set(play.supervisor._sockets) == {"http"}
        assert play.supervisor.admin is None
