"""How a worker process is started."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from gateway.app.workers.launcher import Launcher
from tests.gateway.app.workers.play import Play


@pytest.fixture
def lifeline():
    """The read end of a pipe."""
    theirs, ours = os.pipe()
    yield theirs
    os.close(ours)
    os.close(theirs)


async def test_a_worker_inherits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifeline: int) -> None:
    """It knows its slot and its serial number, has sockets of its own, and reports when it serves."""
    play = Play(tmp_path, monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        launcher = Launcher(play.file, tmp_path, {"http": listening}, lifeline)

        worker = await launcher.launch(1, 7, 2.0)

        assert (worker.number, worker.serial, worker.admin) == (1, 7, tmp_path / "7.sock")
        assert launcher.parent == tmp_path / "parent.sock"
        assert await worker.wait_ready()
        worker.leave()
        assert await worker.process.wait() == -signal.SIGTERM


async def test_a_program_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifeline: int
) -> None:
    """No descriptor is left open."""
    play = Play(tmp_path, monkeypatch)
    play.worker.unlink()
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - their names are numbers

    with pytest.raises(FileNotFoundError):
        await Launcher(play.file, tmp_path, {}, lifeline).launch(0, 1, 2.0)

    assert set(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - their names are numbers
