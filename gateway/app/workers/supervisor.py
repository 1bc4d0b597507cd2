"""Several workers behind one set of sockets: the parent binds, hands down, replaces, and answers for all.

The parent serves nobody. It binds the listening sockets once and hands them to every worker, so a worker
that comes or goes never leaves a client before a closed door: whoever is waiting in the socket's queue is
taken by another worker. Workers are fresh processes, not forks: nothing of one (threads of ONNX Runtime,
connections to Redis) is shared with another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from gateway.admin.listener import AdminListener
from gateway.admin.stack_routes import stack_routes
from gateway.app.errors import StartError
from gateway.app.workers.aggregate import AggregateAdmin
from gateway.app.workers.coordinator import Coordinator
from gateway.app.workers.inheritance import Inheritance
from gateway.app.workers.worker import PAUSE_S, Worker
from gateway.config.document import ConfigError
from gateway.config.settings import Settings, host_and_port, load_settings
from gateway.http.server.binding import bind
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings

_LOG: Final = logging.getLogger("edgeway.workers")

_STEADY_S: Final = 60.0
_KILL_EXTRA_S: Final = 5.0


class Supervisor:
    """The parent of ``count`` workers of one settings file."""

    def __init__(self, file: Path, settings: Settings, count: int) -> None:
        self._file, self._settings, self._count = file, settings, count
        self._workers: dict[int, Worker] = {}
        # Of two that would replace one worker at once, the later finds it replaced.
        self._places = [asyncio.Lock() for _ in range(count)]
        self._alive: set[Worker] = set()
        self._keepers: set[asyncio.Task[None]] = set()
        self._sockets: dict[str, socket.socket] = {}
        self._stopping = asyncio.Event()
        self._rolling = asyncio.Lock()
        self._folder = Path()
        self._lifeline = -1
        self._serial = 0
        self._crew = AggregateAdmin(
            lambda: [(w.number, w.admin) for w in self._workers.values() if w.is_ready]
        )
        # It traces nothing by itself, but knows whether the workers can.
        tracing = TraceSettings((lambda _one_in: None) if settings.telemetry.otlp_endpoint else None)
        self._relay = Coordinator(self._serving, self._listening, log=LogSettings(), tracing=tracing)
        self.admin: AdminListener | None = None

    def __repr__(self) -> str:
        ready = sum(worker.is_ready for worker in self._workers.values())
        return f"<Supervisor {ready} of {self._count} workers ready>"

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then let every worker drain.

        Raises:
            StartError: a socket cannot be bound, or the first workers do not start.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._keep(self._replace_all(self._serial)))
        async with AsyncExitStack() as lifetimes:
            self._folder = Path(lifetimes.enter_context(tempfile.TemporaryDirectory(prefix="edgeway-")))
            # Workers read the other end: when the parent is gone, however it went, they leave.
            theirs, ours = os.pipe()
            lifetimes.callback(os.close, ours)
            lifetimes.callback(os.close, theirs)
            self._lifeline = theirs
            self._bind(lifetimes)
            # Closed last: load balancers shall read there that this gateway is leaving.
            await self._open_admin(lifetimes)
            await self._open_relay(lifetimes)
            lifetimes.push_async_callback(self._end)
            async with self._rolling:
                await self._start_first()
            await self._stopping.wait()
            _LOG.info("draining")
        _LOG.info("stopped")

    async def report(self) -> Mapping[str, Any]:
        """Tell what the workers are, and by worker what it believes of endpoints and certificates."""
        health = await self._crew.health()
        certificates = {str(n): each["certificates"] for n, each in health.items() if "certificates" in each}
        endpoints = {number: each["endpoints"] for number, each in health.items() if "endpoints" in each}
        return {
            "ready": self._is_ready,
            "role": self._settings.role,
            "region": self._settings.region,
            "workers": [
                {
                    "number": w.number,
                    "process": w.process.pid,
                    "ready": w.is_ready,
                    **({"endpoints": endpoints[w.number]} if w.number in endpoints else {}),
                }
                for w in sorted(self._workers.values(), key=lambda worker: worker.number)
            ],
            **({"certificates": certificates} if certificates else {}),
        }

    @property
    def _is_ready(self) -> bool:
        """Whether there are workers that serve: while one that died is replaced, the others do."""
        return not self._stopping.is_set() and any(worker.is_ready for worker in self._workers.values())

    def _stop(self) -> None:
        """Begin to leave; workers that are only starting need not get ready first."""
        self._stopping.set()
        for worker in self._alive:
            worker.leave()

    def _bind(self, lifetimes: AsyncExitStack) -> None:
        for name in ("http", "grpc"):
            address = getattr(self._settings.listen, name)
            if address is None:
                continue
            try:
                backlog = self._settings.listen.transport.backlog
                self._sockets[name] = bind(*host_and_port(address), backlog)
            except OSError as error:
                raise StartError(f"cannot listen on {address}: {error.strerror or error}") from error
            lifetimes.callback(self._sockets[name].close)

    async def _open_admin(self, lifetimes: AsyncExitStack) -> None:
        address = self._settings.listen.admin
        if address is None:
            return
        crew = self._crew
        self.admin = AdminListener(
            health=self.report,
            metrics=crew.metrics,
            policy=crew.policy,
            more=[*self._relay.management_routes(), *stack_routes(crew.stack)],
        )
        lifetimes.push_async_callback(self.admin.aclose)
        try:
            await self.admin.start(*host_and_port(address))
        except OSError as error:
            raise StartError(f"cannot listen on {address}: {error.strerror or error}") from error

    @property
    def _parent(self) -> str:
        return str(self._folder / "parent.sock")

    async def _open_relay(self, lifetimes: AsyncExitStack) -> None:
        crew = self._crew
        relay = AdminListener(
            health=self.report, metrics=crew.metrics, policy=crew.policy, more=self._relay.routes()
        )
        lifetimes.push_async_callback(relay.aclose)
        await relay.start_at(self._parent)

    def _serving(self) -> dict[int, Path]:
        return {worker.serial: worker.admin for worker in self._alive if worker.is_ready}

    def _listening(self) -> dict[int, Path]:
        return {worker.serial: worker.admin for worker in self._alive if not worker.is_leaving}

    def _bury(self, worker: Worker) -> None:
        self._alive.discard(worker)
        self._relay.forget(worker.serial)

    async def _start_first(self) -> None:
        try:
            workers = [await self._start(number) for number in range(self._count)]
        except OSError as error:
            raise StartError(f"a worker cannot be started: {error.strerror or error}") from error
        are_ready = await asyncio.gather(*(worker.wait_ready() for worker in workers))
        if self._stopping.is_set():
            return
        if not all(are_ready):
            raise StartError("a worker did not start; its reason stands above")
        for worker in workers:
            self._take(worker)
        _LOG.info("%d workers are ready: %s", self._count, self._addresses())

    async def _start(self, number: int) -> Worker:
        self._serial += 1
        admin = self._folder / f"{self._serial}.sock"
        ours, theirs = os.pipe()
        inheritance = Inheritance(
            number=number,
            serial=self._serial,
            sockets={name: listening.fileno() for name, listening in self._sockets.items()},
            ready=theirs,
            lifeline=self._lifeline,
            admin=str(admin),
            parent=self._parent,
        )
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", str(self._file)),
                *("--inherit", inheritance.encode()),
                pass_fds=inheritance.descriptors(),
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        worker = Worker(inheritance, process, ours, serial=self._serial)
        drain = self._settings.resilience.drain
        worker.limit_s = drain.drain_time_s + drain.drain_timeout_s + _KILL_EXTRA_S
        self._alive.add(worker)
        if self._stopping.is_set():
            worker.leave()
        return worker

    def _take(self, worker: Worker) -> None:
        self._workers[worker.number] = worker
        self._keep(self._watch(worker))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._keepers.add(task)
        task.add_done_callback(self._keepers.discard)

    async def _watch(self, worker: Worker) -> None:
        """Replace ``worker`` when it dies, until its replacement lives."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        code = await worker.process.wait()
        if worker.is_leaving or self._stopping.is_set():
            return
        _LOG.error("%r died with exit code %d", worker, code)
        worker.is_ready = False
        self._bury(worker)
        pause_s = PAUSE_S[0] if loop.time() - began > _STEADY_S else worker.pause_s
        while not self._stopping.is_set():
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S[1])
            async with self._places[worker.number]:
                if self._workers[worker.number] is not worker:
                    return
                if (successor := await self._succeed(worker)) is not None:
                    successor.pause_s = pause_s
                    _LOG.warning("%r takes the place of the one that died", successor)
                    return

    async def _succeed(self, worker: Worker) -> Worker | None:
        """Start a successor of ``worker``; None when it did not get ready."""
        try:
            successor = await self._start(worker.number)
        except OSError as error:
            _LOG.error("a worker cannot be started: %s", error.strerror or error)
            return None
        if await successor.wait_ready() and not self._stopping.is_set():
            self._take(successor)
            return successor
        successor.leave()
        await self._finish(successor)
        return None

    async def _replace_all(self, serial: int) -> None:
        """Replace the workers up to ``serial`` one by one: the old one goes when the new one serves."""
        async with self._rolling:
            try:
                # How long they may take to leave may have changed, too.
                self._settings = load_settings(self._file)
            except ConfigError as error:
                _LOG.error("the settings were not taken, all workers stay: %s", error)
                return
            for number, place in enumerate(self._places):
                async with place:
                    worker = self._workers.get(number)
                    if self._stopping.is_set() or worker is None:
                        return
                    if worker.serial <= serial and not await self._replace(worker):
                        return

    async def _replace(self, worker: Worker) -> bool:
        successor = await self._succeed(worker)
        if successor is None:
            _LOG.error("the new worker does not start, %r and those after it stay", worker)
            return False
        worker.leave()
        await self._finish(worker)
        _LOG.info("%r takes the place of process %d", successor, worker.process.pid)
        return True

    async def _finish(self, worker: Worker) -> None:
        """Wait for a worker that was asked to leave; one that does not is killed."""
        try:
            async with asyncio.timeout(worker.limit_s):
                await worker.process.wait()
        except TimeoutError:
            _LOG.error("%r did not leave within %g s and is killed", worker, worker.limit_s)
            worker.process.kill()
            await worker.process.wait()
        self._bury(worker)

    async def _end(self) -> None:
        self._stopping.set()
        for task in list(self._keepers):
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for worker in self._alive:
            worker.leave()
        await asyncio.gather(*(self._finish(worker) for worker in list(self._alive)))

    def _addresses(self) -> str:
        bound = {name: listening.getsockname()[1] for name, listening in self._sockets.items()}
        if self.admin is not None:
            bound["admin"] = self.admin.port
        return ", ".join(f"{name} port {port}" for name, port in bound.items())
