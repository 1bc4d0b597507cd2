"""Worker processes, as their parent knows them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gateway.app.workers.heartbeats import Pulse
from gateway.app.workers.inheritance import Inheritance

_LOG: Final = logging.getLogger("edgeway.workers")

START_S: Final = 120.0
"""Loading models and a first policy may take this long before a worker counts as stuck."""

PAUSE_S: Final = (0.1, 10.0)
"""Before a worker that died is replaced: the first pause, doubled each time, and the last. After one that
has served for a minute it is the first again."""


class Worker:
    """One worker process and what the parent knows of it.

    ``number``: its slot. ``serial``: how many were started before it, and itself. ``admin``: its socket.
    ``ready``: the read end of the pipe in which it reports that it serves, and sends heartbeats from then on.
    ``pulse``: what came out of that. ``leave_limit_s``: how long it may
    take from SIGTERM to its end. ``pause_s``: how long to wait before it is replaced, should it die soon.
    ``is_leaving``: it has got SIGTERM, finishes what it has accepted, and ends.
    """

    def __init__(
        self,
        inheritance: Inheritance,
        process: asyncio.subprocess.Process,
        ready: int,
        *,
        leave_limit_s: float,
    ) -> None:
        self.number, self.serial = inheritance.number, inheritance.serial
        self.admin = Path(inheritance.admin)
        self.process = process
        self.leave_limit_s = leave_limit_s
        self.pause_s = PAUSE_S[0]
        self.pulse = Pulse()
        self._ready = ready
        self._pipe: asyncio.ReadTransport | None = None
        self.is_ready = False
        self.is_leaving = False

    def __repr__(self) -> str:
        state = "leaving" if self.is_leaving else "ready" if self.is_ready else "starting"
        return f"<Worker {self.number} {state}, process {self.process.pid}>"

    async def wait_ready(self) -> bool:
        """Wait until the worker serves; false when it ended, or is stuck, before it did."""
        loop = asyncio.get_running_loop()
        self._pipe, _ = await loop.connect_read_pipe(
            lambda: self.pulse, os.fdopen(self._ready, "rb", buffering=0)
        )
        try:
            async with asyncio.timeout(START_S):
                self.is_ready = await self.pulse.began()
        except TimeoutError:
            _LOG.error("%r does not get ready", self)
        return self.is_ready

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self.process.pid

    def kill(self) -> None:
        """End it at once; it is no longer ready from now on."""
        self.is_ready = False
        if self.process.returncode is None:
            self.process.kill()

    def ended(self) -> None:
        """Let go of what belonged to its process, which has ended."""
        if self._pipe is not None:
            self._pipe.close()

    def leave(self) -> None:
        """Send it SIGTERM, once: it finishes what it has accepted and ends."""
        if not self.is_leaving and self.process.returncode is None:
            self.is_leaving = True
            self.process.send_signal(signal.SIGTERM)


class LiveWorkers(set[Worker]):
    """The workers whose processes run: starting, serving or leaving."""

    def serving(self) -> Mapping[int, Path]:
        """Return the sockets of the workers that serve, those that leave among them, by serial number."""
        return {worker.serial: worker.admin for worker in self if worker.is_ready}

    def listening(self) -> Mapping[int, Path]:
        """Return the sockets of the workers that can be called, or soon can be, by serial number."""
        return {worker.serial: worker.admin for worker in self if not worker.is_leaving}
