"""Several workers behind one set of sockets: the parent binds, hands down, replaces, and answers for all.

The parent serves no client. It binds the listening sockets once and hands them to every worker, so while a
worker comes or goes no client is refused: whoever waits in the socket's queue is accepted by another worker.
Workers are fresh processes, not forks: nothing of one (threads of ONNX Runtime, connections to Redis) is
shared with another.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.admin.listener import AdminListener
from gateway.admin.stack_routes import stack_routes
from gateway.app.admin_port import open_admin_port
from gateway.app.workers.aggregate import AggregateAdmin
from gateway.app.workers.coordinator import Coordinator
from gateway.app.workers.launcher import Launcher
from gateway.app.workers.pool import WorkerPool
from gateway.app.workers.shared import Shared
from gateway.app.workers.worker import LiveWorkers
from gateway.config.document import ConfigError
from gateway.config.settings import Settings, load_settings
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings

_LOG: Final = logging.getLogger("edgeway.workers")

KILL_EXTRA_S: Final = 5.0
"""A worker that got SIGTERM is killed this long after the time that the settings give it to drain."""


@dataclass(frozen=True, slots=True, repr=False)
class Workers:
    """What a parent has open. ``shared``: what its workers have of it."""

    file: Path
    settings: Settings
    shared: Shared
    pool: WorkerPool
    aggregate: AggregateAdmin
    admin: AdminListener | None

    def __repr__(self) -> str:
        return f"<Workers {self.pool!r}, {self.addresses()}>"

    async def report(self) -> Mapping[str, Any]:
        """Return the health report of the admin port."""
        return await report_workers(self.settings, self.pool, self.aggregate)

    def replace_all(self) -> Coroutine[Any, Any, None]:
        """Replace the workers that there are now, once awaited; wrong settings change nothing."""
        return self.pool.replace_all(self.pool.serial, read_limit=self._read_leave_limit_s)

    def leave(self) -> None:
        """Send SIGTERM to every worker, and take no part in their sockets any more."""
        # In this order: a worker that gets the signal finds out whether others stay behind.
        self.shared.close()
        self.pool.stop()

    def addresses(self) -> str:
        """Return the ports in one line."""
        bound = dict(self.shared.ports)
        if self.admin is not None:
            bound["admin"] = self.admin.port
        return ", ".join(f"{name} port {port}" for name, port in bound.items())

    def _read_leave_limit_s(self) -> float | None:
        """Return how long new workers may take to leave; None: the settings cannot be used."""
        try:
            settings = load_settings(self.file)
            if moved := settings.listen.moved(self.settings.listen):
                _LOG.warning(
                    "%s: the parent of all workers listens on the addresses that it was started with; stop "
                    "edgeway serve and start it again for others",
                    ", ".join(f"listen.{name}" for name in moved),
                )
            return leave_limit_s(settings)
        except ConfigError as error:
            _LOG.error("the settings were not taken, all workers stay: %s", error)
            return None


class Supervisor:
    """The parent of ``count`` workers of one settings file, from settings to exit."""

    def __init__(self, file: Path, settings: Settings, count: int) -> None:
        self._file, self._settings, self._count = file, settings, count

    def __repr__(self) -> str:
        return f"<Supervisor of {self._count} workers, {self._file}>"

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then let every worker drain; SIGHUP replaces them all.

        Raises:
            StartError: a socket cannot be bound, or the first workers do not start.
        """
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        # Before anything is opened: the defaults of these signals would end the process as it stands.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        async with AsyncExitStack() as lifetimes:
            workers = await self.open(lifetimes)
            pool = workers.pool
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, workers.leave)
            loop.add_signal_handler(signal.SIGHUP, lambda: pool.start_task(workers.replace_all()))
            if stopping.is_set():
                workers.leave()
            await pool.start()
            if pool.is_ready:
                _LOG.info("%d workers are ready: %s", self._count, workers.addresses())
            await pool.stopped()
            _LOG.info("draining")
        _LOG.info("stopped")

    async def open(self, lifetimes: AsyncExitStack) -> Workers:
        """Open everything that comes before the first worker.

        Raises:
            StartError: a socket cannot be bound.
        """
        settings = self._settings
        folder = Path(lifetimes.enter_context(tempfile.TemporaryDirectory(prefix="edgeway-")))
        shared = Shared.open(settings.listen)
        lifetimes.callback(shared.close)
        launcher = Launcher(self._file, folder, shared.sockets, shared.lifeline, self._count)
        alive = LiveWorkers()
        # The parent traces nothing by itself, but knows whether the workers can.
        tracing = TraceSettings((lambda _one_in: None) if settings.telemetry.otlp_endpoint else None)
        coordinator = Coordinator(alive.serving, alive.listening, log=LogSettings(), tracing=tracing)
        pool = WorkerPool(
            self._count,
            launcher.launch,
            alive,
            leave_limit_s=leave_limit_s(settings),
            gone=coordinator.forget,
        )
        aggregate = AggregateAdmin(
            lambda: [(worker.number, worker.admin) for worker in pool.workers if worker.is_ready]
        )
        report = partial(report_workers, settings, pool, aggregate)
        # Closed last: load balancers shall read there that this gateway is leaving.
        admin = await open_admin_port(
            AdminListener(
                health=report,
                metrics=aggregate.metrics,
                policy=aggregate.policy,
                more=[*coordinator.management_routes(), *stack_routes(aggregate.stack)],
            ),
            settings.listen,
            lifetimes,
        )
        calls = AdminListener(
            health=report,
            metrics=aggregate.metrics,
            policy=aggregate.policy,
            more=coordinator.routes(),
        )
        lifetimes.push_async_callback(calls.aclose)
        await calls.start_at(str(launcher.parent))
        lifetimes.push_async_callback(pool.aclose)
        return Workers(self._file, settings, shared, pool, aggregate, admin)


async def report_workers(
    settings: Settings, pool: WorkerPool, aggregate: AggregateAdmin
) -> Mapping[str, Any]:
    """Return the health report: the workers, and what each believes of endpoints, certificates and models.

    Role and region are a worker's: settings that were changed are in force there, and not in the parent.
    """
    health = await aggregate.health()
    current = next(iter(health.values()), {})
    certificates = {str(n): each["certificates"] for n, each in health.items() if "certificates" in each}
    models = {str(n): each["models"] for n, each in health.items() if "models" in each}
    logs = {str(n): each["invalidation"] for n, each in health.items() if "invalidation" in each}
    endpoints = {number: each["endpoints"] for number, each in health.items() if "endpoints" in each}
    return {
        "ready": pool.is_ready,
        "role": current.get("role", settings.role),
        "region": current.get("region", settings.region),
        "workers": [
            {
                "number": worker.number,
                "process": worker.process.pid,
                "ready": worker.is_ready,
                **({"endpoints": endpoints[worker.number]} if worker.number in endpoints else {}),
            }
            for worker in pool.workers
        ],
        **({"certificates": certificates} if certificates else {}),
        **({"models": models} if models else {}),
        **({"invalidation": logs} if logs else {}),
    }


def leave_limit_s(settings: Settings) -> float:
    """Return how long a worker may take from SIGTERM to its end."""
    drain = settings.resilience.drain
    return drain.drain_time_s + drain.drain_timeout_s + KILL_EXTRA_S
