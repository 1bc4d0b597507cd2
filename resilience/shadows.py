"""What is sent after the answers: bounded in number and bytes, in queues with a few at a time.

Nobody waits for any of it. What finds no room is dropped at once, and what is still here when the process
leaves is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

import msgspec

from resilience.settings import ShadowSettings

AFTER_S: Final = 0.005
"""Seconds between the end of a request's way through the layers below the cache and the first thing that is
done for its copy. By then the answer has passed the layers above and been written."""


_EARLY_S: Final = 0.001
"""By so much a timer may be early: the clock of a loop is as coarse as this."""


class Errand(msgspec.Struct, frozen=True, eq=False):
    """Something to do after an answer.

    ``size``: bytes that it holds. ``run``: does it; it raises nothing but what is a bug. ``drop``: is called
    instead, where it is not done, or not to its end.
    """

    size: int
    run: Callable[[], Coroutine[Any, Any, None]]
    drop: Callable[[], None]


class Shadows:
    """All that is under way or waits in this process."""

    def __init__(self, settings: ShadowSettings) -> None:
        self._max_requests, self._max_bytes = settings.max_requests, settings.max_mib << 20
        self._requests = self._bytes = 0
        self._busy: set[ShadowQueue] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Shadows {self._requests} of {self._max_requests}, {self._bytes} of {self._max_bytes} bytes>"

    def queue(self, *, max_in_flight: int, max_waiting: int) -> ShadowQueue:
        """Return a queue; it holds nothing of this process while it is empty."""
        return ShadowQueue(self, max_in_flight, max_waiting)

    async def aclose(self) -> None:
        """Drop what waits, cancel what runs, and wait until that has ended; from now on all is dropped."""
        self._is_closed = True
        tasks = {task for queue in list(self._busy) for task in queue.cancel()}
        if tasks:
            await asyncio.wait(tasks)

    def enter(self, queue: ShadowQueue, errand: Errand) -> bool:
        """Take an errand of ``queue`` in; False: there is no room."""
        is_full = self._requests >= self._max_requests or self._bytes + errand.size > self._max_bytes
        if is_full or self._is_closed:
            return False
        self._requests += 1
        self._bytes += errand.size
        self._busy.add(queue)
        return True

    def leave(self, queue: ShadowQueue, errand: Errand) -> None:
        """Let an errand go that has been taken in."""
        self._requests -= 1
        self._bytes -= errand.size
        if queue.is_empty:
            self._busy.discard(queue)


class ShadowQueue:
    """Errands of one kind, first come, first served: ``max_in_flight`` run, ``max_waiting`` more wait."""

    def __init__(self, shadows: Shadows, max_in_flight: int, max_waiting: int) -> None:
        self._shadows, self._max_running, self._max_waiting = shadows, max_in_flight, max_waiting
        self._waiting: deque[tuple[float, Errand]] = deque()
        """With the loop's time before which it may not begin."""
        self._running: dict[asyncio.Task[None], Errand] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return (
            f"<ShadowQueue {len(self._running)} of {self._max_running} running, {len(self._waiting)} waiting>"
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._running and not self._waiting

    def put(self, errand: Errand) -> None:
        """Have an errand done, ``AFTER_S`` from now at the soonest; drop it where there is no room."""
        crowded = len(self._running) + len(self._waiting) >= self._max_running + self._max_waiting
        if crowded or not self._shadows.enter(self, errand):
            errand.drop()
            return
        due = asyncio.get_running_loop().time() + AFTER_S
        self._waiting.append((due, errand))
        if len(self._waiting) == 1:
            self._arm(due)

    def cancel(self) -> list[asyncio.Task[None]]:
        """Drop what waits and cancel what runs, which is returned."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            _, errand = self._waiting.popleft()
            self._shadows.leave(self, errand)
            errand.drop()
        for task in self._running:
            task.cancel()
        return list(self._running)

    def _arm(self, due: float) -> None:
        # Not in the caller's context: its trace ends with its answer.
        self._timer = asyncio.get_running_loop().call_at(due, self._start, context=Context())

    def _start(self) -> None:
        self._timer, loop = None, asyncio.get_running_loop()
        while self._waiting and len(self._running) < self._max_running:
            due, errand = self._waiting[0]
            if due > loop.time() + _EARLY_S:
                self._arm(due)
                return
            del self._waiting[0]
            task = loop.create_task(errand.run())
            self._running[task] = errand
            task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        errand = self._running.pop(task)
        self._shadows.leave(self, errand)
        error = None if task.cancelled() else task.exception()
        if error is not None or task.cancelled():
            errand.drop()
        if error is not None:
            context = {"message": "what follows an answer failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
        if self._timer is None:
            self._start()
