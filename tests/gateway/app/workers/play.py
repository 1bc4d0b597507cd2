"""A parent of worker processes that only do what a parent sees of them.

Example::

    play = Play(tmp_path)
    async with play.open() as workers:      # two workers serve
        play.workers_shall("crash")         # from now on, the new ones
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.app.workers import launcher, pool, supervisor, worker
from gateway.app.workers.supervisor import Supervisor, Workers
from gateway.config.settings import load_settings

WORKER = """\
#!{python} -SE
import json, os, select, signal, sys
inheritance = json.loads(sys.argv[sys.argv.index("--inherit") + 1])
mode = open({mode!r}).read()
if mode == "fail":
    sys.exit("no")
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode != "stuck":
    os.write(inheritance["ready"], b"1")
if mode == "beat":
    while not select.select([inheritance["lifeline"]], [], [], 0.1)[0]:
        os.write(inheritance["ready"], b"1")
    sys.exit(0)
if mode == "stopped":
    os.kill(os.getpid(), signal.SIGSTOP)
if mode == "endless":
    while True:
        pass
if mode not in ("waiting", "stuck"):
    os.close(inheritance["ready"])
if mode == "crash":
    sys.exit(3)
select.select([inheritance["lifeline"]], [], [])
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
    """A supervisor whose pauses are short, and what its workers shall do from now on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file, self._mode = folder / "settings.yaml", folder / "mode"
        self.file.write_text(SETTINGS)
        self.worker = folder / "worker"
        self.worker.write_text(WORKER.format(python=sys.executable, mode=str(self._mode)))
        self.worker.chmod(0o755)
        self.workers_shall("serve")
        monkeypatch.setattr(launcher.sys, "executable", str(self.worker))
        for place in (pool, worker):
            monkeypatch.setattr(place, "PAUSE_S", (0.02, 0.1))
        monkeypatch.setattr(supervisor, "KILL_EXTRA_S", -0.8)

    def workers_shall(self, mode: str) -> None:
        """``serve``, ``fail`` at once, ``crash`` once ready, never be ready (``stuck``) or leave (``stubborn``).

        ``beat`` for ever; or have one heartbeat and then be ``stopped``, be ``endless``ly busy, or be ``waiting``.
        """
        self._mode.write_text(mode)

    def supervisor(self) -> Supervisor:
        """A supervisor of two workers with the settings as they are now."""
        return Supervisor(self.file, load_settings(self.file, {}), 2)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Workers]:
        """Two workers that serve."""
        async with AsyncExitStack() as lifetimes:
            workers = await self.supervisor().open(lifetimes)
            await workers.pool.start()
            yield workers


def processes(workers: Workers) -> dict[int, int]:
    """Slot → process of its worker."""
    return {each.number: each.process.pid for each in workers.pool.workers}


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], Any]) -> None:
    """Wait until ``condition`` holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)
