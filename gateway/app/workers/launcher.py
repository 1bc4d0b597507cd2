"""How a worker process is started."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.worker import Worker


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts workers of one settings ``file``.

    ``folder``: of the UNIX sockets. ``sockets``: listener → its bound socket, which every worker inherits.
    ``lifeline``: the read end of a pipe that ends with the parent. ``count``: of the workers.
    """

    file: Path
    folder: Path
    sockets: Mapping[str, socket.socket]
    lifeline: int
    count: int = 1

    @property
    def parent(self) -> Path:
        """Return the path of the socket on which workers call their parent."""
        return self.folder / "parent.sock"

    async def launch(self, number: int, serial: int, leave_limit_s: float) -> Worker:
        """Start worker ``number``; ``serial``: how many were started before it, and itself.

        ``leave_limit_s``: how long it may take from SIGTERM to its end.

        Raises:
            OSError: no process can be started.
        """
        ours, theirs = os.pipe()
        inheritance = Inheritance(
            number=number,
            serial=serial,
            sockets={name: listening.fileno() for name, listening in self.sockets.items()},
            ready=theirs,
            lifeline=self.lifeline,
            admin=str(self.folder / f"{serial}.sock"),
            parent=str(self.parent),
            count=self.count,
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", str(self.file)),
                *("--inherit", inheritance.encode()),
                pass_fds=inheritance.descriptors(),
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return Worker(inheritance, process, ours, leave_limit_s=leave_limit_s)
