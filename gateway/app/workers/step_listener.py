"""A worker's socket for steps of sequences for which it answers, which came to other workers.

Slot and path are one: a worker that takes over a slot takes over its path, at one moment for all. What the
one before it held is lost from then on, and no step finds it any more.
"""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from pathlib import Path

from gateway.app import codec_frames
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Service

_LOG = logging.getLogger("edgeway.workers")

Mark = tuple[int, int, int]


def mark(path: Path) -> Mark | None:
    """Return what tells the socket at ``path`` from any that is there later; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def lost(*, unsent: bool = False) -> GatewayError:
    """Return the error for a step whose worker is gone, or is just being replaced.

    It is OVERLOADED: an edge takes it for no evidence against this server, whose other workers answer.
    ``unsent``: that worker has done nothing about it.
    """
    return GatewayError(
        Fault.OVERLOADED,
        "the worker process that answers for this sequence is gone: begin the sequence anew, with "
        "sequence_start",
        retryable=True,
        retry_after_s=1.0,
        unsent=unsent,
    )


class StepListener:
    """Answers steps at ``path`` by ``service``, as long as the path is this worker's."""

    def __init__(self, path: Path, service: Service) -> None:
        self._path, self._service = path, service
        self._mark: Mark | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<StepListener {self._path.name}{'' if self.is_owner() else ', not in force'}>"

    def is_owner(self) -> bool:
        """Whether the steps of this slot are this worker's."""
        return self._mark is not None and mark(self._path) == self._mark

    async def start(self) -> None:
        """Take over the path."""
        own = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        self._server = await asyncio.start_unix_server(self._connected, str(own), limit=1 << 20)
        self._mark = mark(own)
        own.rename(self._path)

    async def aclose(self) -> None:
        """Take no more steps, and end those under way."""
        if self._server is None:
            return
        self._server.close()
        if self.is_owner():
            self._path.unlink(missing_ok=True)
        for connection in tuple(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        steps: dict[int, asyncio.Task[None]] = {}
        try:
            while True:
                number, request = await codec_frames.receive(reader)
                if request is None:
                    if (cancelled := steps.get(number)) is not None:
                        cancelled.cancel()
                    continue
                steps[number] = step = asyncio.create_task(self._answer(writer, number, request))
                step.add_done_callback(partial(_forget, steps, number))
        except (asyncio.IncompleteReadError, OSError):
            # The worker that asked is gone, and with it whoever waited.
            pass
        except asyncio.CancelledError:
            _LOG.debug("%r closes a connection", self)
        finally:
            self._connections.discard(task)
            under_way = tuple(steps.values())
            for step in under_way:
                step.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, number: int, request: Request) -> None:
        answer, error = await self._outcome(request)
        fields = error and {name: getattr(error, name) for name in GatewayError.__slots__}
        try:
            writer.writelines(codec_frames.frame((number, answer, fields)))
            await writer.drain()
        except OSError:
            _LOG.debug("the worker that asked for a step is gone")

    async def _outcome(self, request: Request) -> tuple[Response | None, GatewayError | None]:
        if not self.is_owner():
            return None, lost(unsent=True)
        try:
            return await self._service(request), None
        except GatewayError as error:
            # Whoever asked must not stand in: where the sequence is, is known here.
            return None, error.replaced(unsent=False)
        except Exception:  # noqa: BLE001 - the one who asked has to know
            _LOG.exception("a step of a sequence failed unexpectedly")
            return None, GatewayError(Fault.INTERNAL, "internal error")


def _forget(steps: dict[int, asyncio.Task[None]], number: int, _: asyncio.Task[None]) -> None:
    steps.pop(number, None)
