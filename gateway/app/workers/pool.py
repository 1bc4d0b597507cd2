"""The worker processes of one gateway: one per slot, replaced when it dies or when an operator wants it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from gateway.app.errors import StartError
from gateway.app.workers.heartbeats import Heartbeats
from gateway.app.workers.worker import PAUSE_S, LiveWorkers, Worker

_LOG: Final = logging.getLogger("edgeway.workers")

_STEADY_S: Final = 60.0
"""A worker that has served this long is replaced after the shortest pause."""

Launch = Callable[[int, int, float], Awaitable[Worker]]
"""Starts the worker of a slot, with its serial number and the seconds that it may take to leave."""


class WorkerPool:
    """Keeps ``count`` slots filled, each with one worker process.

    Args:
        launch: starts a worker; serial numbers only grow.
        alive: the pool keeps in it the workers whose processes run.
        leave_limit_s: how long a worker may take from SIGTERM to its end before it is killed.
        gone: called with the serial number of a worker whose process has ended.
    """

    def __init__(
        self,
        count: int,
        launch: Launch,
        alive: LiveWorkers,
        *,
        leave_limit_s: float,
        gone: Callable[[int], None],
    ) -> None:
        self._launch, self._alive, self._gone = launch, alive, gone
        self._leave_limit_s = leave_limit_s
        self._workers: dict[int, Worker] = {}
        # Of two that would replace one worker at once, the later finds it replaced.
        self._slots = [asyncio.Lock() for _ in range(count)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._rolling = asyncio.Lock()
        self._serial = 0
        self._num_replacing = 0
        self._heartbeats = Heartbeats(alive)
        self._watching: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        ready = sum(worker.is_ready for worker in self.workers)
        return f"<WorkerPool {ready} of {len(self._slots)} workers ready>"

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Return the worker of each slot, in their order; one that died stands there until it is replaced."""
        return tuple(self._workers[number] for number in sorted(self._workers))

    @property
    def alive(self) -> LiveWorkers:
        """Return the workers whose processes run."""
        return self._alive

    @property
    def serial(self) -> int:
        """Return how many workers were started until now."""
        return self._serial

    @property
    def num_replacing(self) -> int:
        """Return how many replacements are under way: of workers that died, and of all of them."""
        return self._num_replacing

    @property
    def is_ready(self) -> bool:
        """Whether there are workers that serve: while one that died is replaced, the others do."""
        return not self._stopping.is_set() and any(worker.is_ready for worker in self.workers)

    async def start(self) -> None:
        """Start the first workers; return when they serve, or when the pool is to stop.

        Raises:
            StartError: they cannot be started.
        """
        if self._watching is None:
            self._watching = asyncio.create_task(self._heartbeats.watch())
        async with self._rolling:
            try:
                workers = [
                    await self._start(number)
                    for number in range(len(self._slots))
                    if not self._stopping.is_set()
                ]
            except OSError as error:
                raise StartError(f"a worker cannot be started: {error.strerror or error}") from error
            are_ready = await asyncio.gather(*(worker.wait_ready() for worker in workers))
            if self._stopping.is_set():
                return
            if not all(are_ready):
                raise StartError("a worker did not start; its reason stands above")
            for worker in workers:
                self._put(worker)

    def stop(self) -> None:
        """Send SIGTERM to every worker; those that are only starting need not get ready first."""
        self._stopping.set()
        for worker in self._alive:
            worker.leave()

    async def stopped(self) -> None:
        """Wait until the pool is to stop."""
        await self._stopping.wait()

    async def aclose(self) -> None:
        """Let every worker finish what it has accepted, and wait until all are gone."""
        self._stopping.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self._alive:
            worker.leave()
        # Their heartbeats are watched until the end: one that stands still is not waited for.
        await asyncio.gather(*(self._wait_gone(worker) for worker in list(self._alive)))
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work`` beside everything else; it is cancelled when the pool closes."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def replace_all(self, serial: int, *, read_limit: Callable[[], float | None]) -> None:
        """Replace the workers up to ``serial`` one by one: an old one leaves when the new one serves.

        ``read_limit`` is called when it is this replacement's turn. It returns how long a new worker may take
        to leave; None: all workers stay.
        """
        async with self._rolling:
            if (limit_s := read_limit()) is None:
                return
            self._leave_limit_s = limit_s
            self._num_replacing += 1
            try:
                for number, slot in enumerate(self._slots):
                    async with slot:
                        worker = self._workers.get(number)
                        if self._stopping.is_set() or worker is None:
                            return
                        if worker.serial <= serial and not await self._replace(worker):
                            return
            finally:
                self._num_replacing -= 1

    async def _start(self, number: int) -> Worker:
        self._serial += 1
        worker = await self._launch(number, self._serial, self._leave_limit_s)
        self._alive.add(worker)
        if self._stopping.is_set():
            worker.leave()
        return worker

    def _put(self, worker: Worker) -> None:
        self._workers[worker.number] = worker
        self.start_task(self._watch(worker))

    def _remove(self, worker: Worker) -> None:
        self._alive.discard(worker)
        worker.ended()
        self._gone(worker.serial)

    async def _watch(self, worker: Worker) -> None:
        """Replace ``worker`` when it dies, until its replacement lives."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        code = await worker.process.wait()
        if worker.is_leaving or self._stopping.is_set():
            return
        _LOG.error("%r died with exit code %d", worker, code)
        worker.is_ready = False
        self._remove(worker)
        self._num_replacing += 1
        try:
            await self._replace_dead(
                worker, PAUSE_S[0] if loop.time() - began > _STEADY_S else worker.pause_s
            )
        finally:
            self._num_replacing -= 1

    async def _replace_dead(self, worker: Worker, pause_s: float) -> None:
        while not self._stopping.is_set():
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_S[1])
            async with self._slots[worker.number]:
                if self._workers[worker.number] is not worker:
                    return
                if (successor := await self._start_successor(worker)) is not None:
                    successor.pause_s = pause_s
                    _LOG.warning("%r takes the place of the one that died", successor)
                    return

    async def _start_successor(self, worker: Worker) -> Worker | None:
        """Start a successor of ``worker``; None when it did not get ready."""
        if self._stopping.is_set():
            return None
        try:
            successor = await self._start(worker.number)
        except OSError as error:
            _LOG.error("a worker cannot be started: %s", error.strerror or error)
            return None
        if await successor.wait_ready() and not self._stopping.is_set():
            self._put(successor)
            return successor
        successor.leave()
        await self._wait_gone(successor)
        return None

    async def _replace(self, worker: Worker) -> bool:
        successor = await self._start_successor(worker)
        if successor is None:
            _LOG.error("the new worker does not start, %r and those after it stay", worker)
            return False
        worker.leave()
        await self._wait_gone(worker)
        _LOG.info("%r takes the place of process %d", successor, worker.process.pid)
        return True

    async def _wait_gone(self, worker: Worker) -> None:
        """Wait for a worker that got SIGTERM; one that does not leave in time is killed."""
        try:
            async with asyncio.timeout(worker.leave_limit_s):
                await worker.process.wait()
        except TimeoutError:
            _LOG.error("%r did not leave within %g s and is killed", worker, worker.leave_limit_s)
            worker.kill()
            await worker.process.wait()
        self._remove(worker)
