"""Where batches run: on a fixed number of threads that all models share, or on the event loop itself.

A run is to end by itself. On threads, one look at all of them every ``SWEEP_S`` sees to those that do not:

1. a run of more than ``SLOW_S`` is counted apart: its model goes on with threads of its own, and another
   takes its place among the shared ones, so that a slow model costs the others nothing;
2. a run that nobody waits for any more, or that is past its time, is stopped (``RunLimit.stop``);
3. a run that does not stop (ONNX Runtime looks between two operators, and one may take for ever) is given up:
   it is answered with an error, its thread is left to itself, and its model is not available until it ends.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from edge_models.loop_guard import LoopGuard
from edge_models.threads import DaemonThreads
from gateway.core.errors import Fault, GatewayError, Why

T = TypeVar("T")

SWEEP_S: Final = 0.1
SLOW_S: Final = 0.1
GRACE_S: Final = 10.0
"""Seconds that a stopped run has: an operator may be long, and whoever allows little time must not make the
model unavailable to others."""
LEAVING_GRACE_S: Final = 0.5
"""The same for a process that leaves."""

_log = logging.getLogger(__name__)


class StuckRuns:
    """How many runs of one version of a model were given up and have not ended since."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __repr__(self) -> str:
        return f"<StuckRuns {self.count}>"

    def error(self, model: str) -> GatewayError:
        """Return what requests for ``model`` get meanwhile."""
        return GatewayError(
            Fault.UNAVAILABLE,
            f"model '{model}' is not available: a run of it does not end; load another version of it",
            why=Why("run_failed", of_model=True),
        )


@dataclass(frozen=True, slots=True, eq=False)
class RunLimit:
    """How long a run may go on.

    ``stop``: asks it to end; it may be called from any thread. ``is_wanted``: whether anybody still waits for
    it. ``deadline``: the loop time after which nobody does. ``timeout_s``: the most seconds of any run.
    """

    stop: Callable[[], None]
    is_wanted: Callable[[], bool] = lambda: True
    deadline: float = math.inf
    timeout_s: float = math.inf


UNLIMITED: Final = RunLimit(stop=lambda: None)


class Slot(Protocol):
    """A place to run one batch. Either ``run``, and then ``release``, or ``release`` at once."""

    def run(self, work: Callable[[], T], limit: RunLimit = UNLIMITED) -> asyncio.Future[T]:
        """Run ``work`` here."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class ModelExecutor(Protocol):
    """What runs the batches of one model; acquired for one at a time."""

    def acquire(self, begin: Callable[[Slot], None]) -> None:
        """Call ``begin`` when there is a slot, now or later; it must lead to one ``release``, not raise."""
        ...


class Executors(Protocol):
    """What runs batches."""

    def for_model(self, stuck: StuckRuns) -> ModelExecutor:
        """Return what runs the batches of one model. ``stuck`` counts those that were given up."""
        ...


class LoopExecutor:
    """Runs batches on the event loop, at the end of its turn: what came in one turn is one batch.

    There is no hop to a thread and back, and the processor's caches serve all requests of a turn before the
    model needs them; but the loop stands still while a batch runs. ``guard`` stops a run that takes too long;
    ``stopped`` is called when it has.
    """

    def __init__(self, guard: LoopGuard | None = None, *, stopped: Callable[[], None] = lambda: None) -> None:
        self._guard = guard
        self._stopped = stopped

    def __repr__(self) -> str:
        return "<LoopExecutor>"

    def for_model(self, stuck: StuckRuns) -> LoopExecutor:  # noqa: ARG002 - the Protocol's signature
        """Return itself: the loop gives up nothing."""
        return self

    def acquire(self, begin: Callable[[Slot], None]) -> None:
        """Call ``begin`` when the loop has seen to all that has come."""
        asyncio.get_running_loop().call_soon(begin, self)

    def release(self) -> None:
        """Nothing to give back: the event loop is not limited."""

    def run(self, work: Callable[[], T], limit: RunLimit = UNLIMITED) -> asyncio.Future[T]:
        """Run ``work`` now."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        watch = self._guard.watch(limit.stop) if self._guard is not None else None
        try:
            done.set_result(work())
        except Exception as error:  # noqa: BLE001 - as from a thread
            done.set_exception(error)
        if watch is not None and watch.end():
            self._stopped()
        return done


class ThreadExecutor:
    """Runs batches on threads, which are acquired in the order of the calls.

    A batch is put together only when its thread is free: until then it can still grow, and nothing waits
    inside the pool of threads, where it could be neither counted nor taken back.
    """

    def __init__(self, threads: int, *, executor: Executor | None = None) -> None:
        self.threads = threads
        self._free = threads
        self._executor = executor or DaemonThreads()
        self._waiting: deque[tuple[_ModelThreads, Callable[[Slot], None]]] = deque()
        self._running: set[_ThreadSlot] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.given_up = 0
        self.is_leaving = False

    def __repr__(self) -> str:
        busy = self.threads - self._free
        apart = sum(slot.is_apart for slot in self._running)
        more = (f", {apart} apart" if apart else "") + (
            f", {self.given_up} given up" if self.given_up else ""
        )
        return f"<ThreadExecutor {busy}/{self.threads} busy, {len(self._waiting)} waiting{more}>"

    def for_model(self, stuck: StuckRuns) -> ModelExecutor:
        """Return what runs the batches of one model."""
        return _ModelThreads(self, stuck)

    def acquire(self, model: _ModelThreads, begin: Callable[[Slot], None]) -> None:
        """Call ``begin`` with a shared thread when one is free."""
        if self._free:
            self._free -= 1
            begin(_ThreadSlot(self, model))
        else:
            self._waiting.append((model, begin))

    def release(self) -> None:
        """Give a shared thread back; the call that has waited longest gets it."""
        while self._waiting:
            model, begin = self._waiting.popleft()
            if not model.is_slow:
                begin(_ThreadSlot(self, model))
                return
            model.acquire(begin)
        self._free += 1

    def submit(self, slot: _ThreadSlot, work: Callable[[], Any], limit: RunLimit) -> Future[Any]:
        """Run ``work`` in the thread of ``slot``, and look after it if it has a limit."""
        if limit is not UNLIMITED:
            self._running.add(slot)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        return self._executor.submit(work)

    def ended(self, slot: _ThreadSlot) -> None:
        """Look after it no more."""
        self._running.discard(slot)

    def end_runs(self) -> None:
        """Stop every run, whoever waits for it, since the process leaves."""
        self.is_leaving = True
        for slot in self._running:
            slot.stop(asyncio.get_running_loop().time())

    def close(self) -> None:
        """End the threads; what uses them must have been closed before."""
        if self._timer is not None:
            self._timer.cancel()
        self._executor.shutdown()

    def _sweep(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for slot in tuple(self._running):
            slot.review(now)
        if self._running:
            self._timer = loop.call_later(SWEEP_S, self._sweep)


class _ModelThreads:
    """The threads of one model: the shared ones, or while its runs are slow as many of its own."""

    def __init__(self, shared: ThreadExecutor, stuck: StuckRuns) -> None:
        self._shared = shared
        self.stuck = stuck
        self.is_slow = False
        self._apart = 0
        self._waiting: deque[Callable[[Slot], None]] = deque()

    def acquire(self, begin: Callable[[Slot], None]) -> None:
        """Call ``begin`` when a thread is free."""
        if not self.is_slow:
            self._shared.acquire(self, begin)
        elif self._apart < self._shared.threads:
            self._apart += 1
            begin(_ThreadSlot(self._shared, self, is_apart=True))
        else:
            self._waiting.append(begin)

    def release(self) -> None:
        """Give a thread of its own back."""
        self._apart -= 1
        if self._waiting:
            self.acquire(self._waiting.popleft())

    def set_apart(self) -> None:
        """Take over a run that began on a shared thread."""
        self._apart += 1
        self.is_slow = True


class _ThreadSlot:
    __slots__ = ("_answer", "_began", "_executor", "_limit", "_model", "_stopped_at", "is_apart")

    def __init__(self, executor: ThreadExecutor, model: _ModelThreads, *, is_apart: bool = False) -> None:
        self._executor, self._model, self.is_apart = executor, model, is_apart
        self._stopped_at = math.inf

    def run(self, work: Callable[[], T], limit: RunLimit = UNLIMITED) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        self._limit, self._began = limit, loop.time()
        answer: asyncio.Future[T] = loop.create_future()
        self._answer: asyncio.Future[Any] = answer
        self._executor.submit(self, work, limit).add_done_callback(partial(_hand_over, loop, self._ended))
        return answer

    def release(self) -> None:
        (self._model if self.is_apart else self._executor).release()

    def stop(self, now: float) -> None:
        if self._stopped_at == math.inf:
            self._stopped_at = now
            self._limit.stop()

    def review(self, now: float) -> None:
        """Do what is due for a run that has not ended."""
        ran_s, limit = now - self._began, self._limit
        if ran_s >= SLOW_S and not self.is_apart:
            self.is_apart = True
            self._model.set_apart()
            self._executor.release()
        is_late = now >= min(limit.deadline, self._began + limit.timeout_s)
        is_leaving = self._executor.is_leaving
        if is_late or is_leaving or not limit.is_wanted():
            self.stop(now)
        if now - self._stopped_at >= (LEAVING_GRACE_S if is_leaving else GRACE_S):
            self._give_up(ran_s)

    def _give_up(self, ran_s: float) -> None:
        _log.error("a run has not ended in %.0f s, nor when it was stopped: its thread is given up", ran_s)
        self._executor.ended(self)
        self._executor.given_up += 1
        self._model.stuck.count += 1
        self._answer.set_exception(_given_up())

    def _ended(self, done: Future[Any]) -> None:
        self._executor.ended(self)
        if self._answer.done():
            self._executor.given_up -= 1
            self._model.stuck.count -= 1
            _log.warning("a run that was given up has ended")
            return
        self._model.is_slow = asyncio.get_running_loop().time() - self._began >= SLOW_S
        if done.cancelled():
            self._answer.cancel()
        elif (error := done.exception()) is not None:
            self._answer.set_exception(error)
        else:
            self._answer.set_result(done.result())


def _hand_over(
    loop: asyncio.AbstractEventLoop, ended: Callable[[Future[Any]], None], done: Future[Any]
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(ended, done)


def _given_up() -> GatewayError:
    return GatewayError(
        Fault.UNAVAILABLE,
        "the run of the model did not end, nor when it was stopped",
        why=Why("run_failed", of_model=True),
    )


_: tuple[type[Executors], type[Executors]] = (ThreadExecutor, LoopExecutor)
