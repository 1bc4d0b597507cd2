"""Dynamic batching: requests that wait for the same model share one run.

The queue has three events: a request arrives, a waiter leaves, a run ends; one timer, for the delay
of the request that waits longest; and one for each request whose policy sets its waiting a limit. Each leads
to ``_review``, which acquires an executor when a batch is due. The batch is taken from the queue when the
executor is free (``_begin``), runs, and is handed out (``_finish``). ``edge_models.waiting_requests`` decides
in which order requests wait, ``edge_models.batch`` which of them make a batch.

A waiter that leaves takes its request out of the queue; out of a batch that already runs it takes only
its own interest.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from edge_models.answer_order import AnswerOrder
from edge_models.batch import Feed, Outcome, Run, Spent, batch_length, run_batch, run_failed
from edge_models.executors import UNLIMITED, Executors, RunLimit, Slot, StuckRuns
from edge_models.session import StoppableRun
from edge_models.settings import BatchingSettings
from edge_models.waiting_requests import Priorities, WaitingRequests
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.telemetry import BatchRan, QueueChanged, RunCut, Telemetry
from gateway.core.tensor import Array

Kind = tuple[tuple[str, np.dtype[np.generic], tuple[int, ...]], ...]

_LEAST_RETRY_AFTER_S: Final = 0.1
MANY_INSTANCES: Final = 1 << 31
"""As many runs at once as there are threads."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One request in the queue: ``kind`` is equal for requests that may share a run.

    ``weight``: its rows, as far as they count for the size of a batch. ``limit``: ends its waiting.

    ``late``: its timer has fired, so it has waited as long as it may. The clock is not read for that: the
    two need not agree to the last millisecond, and then the timer would be set again and again.
    """

    feed: Feed
    rows: int
    weight: int
    kind: Kind
    deadline: float
    arrived: float
    answer: asyncio.Future[list[Array]]
    level: int = 0
    waiting: bool = True
    late: bool = False
    delayed: bool = False
    limit: asyncio.TimerHandle | None = None

    def stop_waiting(self) -> None:
        """Note that it is not in the queue any more."""
        self.waiting = False
        if self.limit is not None:
            self.limit.cancel()
            self.limit = None


@dataclass(frozen=True, slots=True, eq=False)
class Stoppable:
    """Runs of one version of a model, which may be stopped.

    ``start``: returns one, for one batch. ``timeout_s``: the most seconds that it has. ``stuck``: counts
    those that do not stop.
    """

    start: Callable[[], StoppableRun]
    timeout_s: float
    stuck: StuckRuns


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    entries: list[_Entry]
    began: float
    slot: Slot
    run: StoppableRun | None


class Batcher:
    """The queue of one model.

    Args:
        model: its name, for messages and events.
        run: runs a feed and returns the outputs; called by an executor.
        executors: the threads that it shares with other models, or the event loop.
        batchable: whether rows of several requests may share a run.
        instances: the most runs at once.
        version: of the model, for events.
        stoppable: what runs instead, so that it can be stopped.
    """

    def __init__(
        self,
        model: str,
        run: Run,
        executors: Executors,
        *,
        settings: BatchingSettings,
        clock: Clock,
        telemetry: Telemetry,
        batchable: bool = True,
        instances: int = MANY_INSTANCES,
        version: str = "",
        stoppable: Stoppable | None = None,
    ) -> None:
        self._model = model
        self._version = version
        self._run = run
        self._stoppable = stoppable
        self._stuck = stoppable.stuck if stoppable is not None else StuckRuns()
        self._executor = executors.for_model(self._stuck)
        self._max_rows = settings.max_batch_size if batchable else 1
        self._batchable = batchable
        self._instances = instances
        self._preferred = frozenset((batchable and settings.preferred_batch_size) or (self._max_rows,))
        self._delay_s = settings.max_queue_delay_microseconds / 1e6 if batchable else 0.0
        self._priorities = Priorities(settings)
        self._order = AnswerOrder() if settings.preserve_ordering else None
        self._clock = clock
        self._telemetry = telemetry
        self._queue: WaitingRequests[_Entry] = WaitingRequests()
        self._timer: asyncio.TimerHandle | None = None
        self._timed: _Entry | None = None
        self._is_acquiring = False
        self._running = 0
        self._pace_s = 0.0
        self._closed = False
        self._drained = asyncio.Event()

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<Batcher {self._model} {len(self._queue)} queued, {self._running} running{closed}>"

    async def __call__(
        self, feed: Feed, rows: int, deadline: float = math.inf, priority: int = 0
    ) -> list[Array]:
        """Return the outputs for ``feed``, which has ``rows`` rows, run alone or in company.

        Raises:
            GatewayError: OVERLOADED when the queue is full or the request waits longer than its policy
                allows, DEADLINE when ``deadline`` (loop time) passed in the queue, UNAVAILABLE after
                ``close``, or what the run raised for this request alone.
        """
        if self._closed:
            raise GatewayError(Fault.UNAVAILABLE, f"model '{self._model}' is shutting down", retryable=True)
        if self._stuck.count:
            raise self._stuck.error(self._model)
        now, level = self._clock.now(), self._priorities.level(priority)
        policy = self._priorities.policy(level)
        if self._is_full(level, policy.max_waiting, now):
            raise self._overloaded(policy.max_waiting)
        kind = tuple([(name, array.dtype, array.shape[1:]) for name, array in sorted(feed.items())])
        loop = asyncio.get_running_loop()
        weight = rows if self._batchable else 1
        entry = _Entry(feed, rows, weight, kind, deadline, now, loop.create_future(), level)
        if policy.timeout_s != math.inf:
            end = self._delay if policy.delays else self._reject
            entry.limit = loop.call_at(now + policy.timeout_s, end, entry)
        self._queue.append(entry)
        self._telemetry.emit(QueueChanged(self._model, len(self._queue)))
        self._review()
        try:
            return await entry.answer
        finally:
            if entry.waiting:
                self._leave(entry)

    async def close(self) -> None:
        """Take no more, finish what was accepted without waiting for company, return when all is done."""
        self._closed = True
        self._review()
        self._note_if_drained()
        await self._drained.wait()

    def _review(self) -> None:
        if self._is_acquiring or self._running >= self._instances or not self._queue:
            return
        if self._due() == 0:
            self._watch(self._queue.oldest())
            return
        self._is_acquiring = True
        self._executor.acquire(self._begin)

    def _due(self) -> int:
        oldest = self._queue.oldest()
        late = self._closed or oldest.late or self._clock.now() - oldest.arrived >= self._delay_s
        return batch_length(self._rows(), self._preferred, self._max_rows, late=late)

    def _rows(self) -> Iterable[int]:
        """Yield the rows of each request; more than any batch may have where the kind is not the first's."""
        kind = self._queue.first().kind
        return (entry.weight if entry.kind == kind else self._max_rows + 1 for entry in self._queue)

    def _watch(self, oldest: _Entry) -> None:
        if self._timed is oldest:
            return
        self._unwatch()
        self._timed = oldest
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(oldest.arrived + self._delay_s, self._delay_passed, oldest)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timed = None

    def _delay_passed(self, oldest: _Entry) -> None:
        self._unwatch()
        oldest.late = True
        self._review()

    def _begin(self, slot: Slot) -> None:
        self._is_acquiring = False
        now = self._clock.now()
        self._drop_gone(now)
        if self._stuck.count:
            self._refuse_waiting()
        count = self._due() if self._queue else 0
        if not count:
            slot.release()
            self._review()
            self._note_if_drained()
            return
        self._unwatch()
        entries = self._queue.take(count)
        for entry in entries:
            entry.stop_waiting()
        self._running += 1
        self._telemetry.emit(QueueChanged(self._model, len(self._queue)))
        batch = _Batch(entries, now, slot, self._stoppable.start() if self._stoppable is not None else None)
        if self._order is not None:
            self._order.begin(batch)
        feeds, rows = [entry.feed for entry in entries], [entry.rows for entry in entries]
        done = slot.run(partial(run_batch, batch.run or self._run, feeds, rows), self._limit(batch))
        if done.done():
            self._finish(batch, done)
        else:
            done.add_done_callback(partial(self._finish, batch))
        self._review()

    def _limit(self, batch: _Batch) -> RunLimit:
        """Return how long ``batch`` may run; it is stopped as soon as nobody waits for an answer."""
        if self._stoppable is None or batch.run is None:
            return UNLIMITED
        deadline = max([entry.deadline for entry in batch.entries])
        wanted = partial(_is_wanted, batch.entries)
        return RunLimit(batch.run.stop, wanted, deadline, self._stoppable.timeout_s)

    def _finish(self, batch: _Batch, done: asyncio.Future[tuple[list[Outcome], Spent]]) -> None:
        self._running -= 1
        spent = Spent(self._pace_s)
        if done.cancelled() or done.exception() is not None:
            outcomes: list[Outcome] = [_failure(done) for _ in batch.entries]
        else:
            outcomes, spent = done.result()
            self._pace_s = spent.total_s
        if self._order is None:
            self._hand_out(batch.entries, outcomes)
        else:
            self._order.end(batch, partial(self._hand_out, batch.entries, outcomes))
        self._report(batch, spent)
        if batch.run is not None and batch.run.is_stopped:
            self._telemetry.emit(RunCut(self._model, "given_up" if self._stuck.count else "stopped"))
        batch.slot.release()
        self._review()
        self._note_if_drained()

    def _report(self, batch: _Batch, spent: Spent) -> None:
        entries, began = batch.entries, batch.began
        self._telemetry.emit(
            BatchRan(
                self._model,
                sum(entry.rows for entry in entries),
                len(entries),
                queue_s=began - min([entry.arrived for entry in entries]),
                run_s=spent.total_s,
                version=self._version,
                queued_s=sum(began - entry.arrived for entry in entries),
                input_s=spent.input_s,
                output_s=spent.output_s,
            )
        )

    def _hand_out(self, batch: Iterable[_Entry], outcomes: Iterable[Outcome]) -> None:
        for entry, outcome in zip(batch, outcomes, strict=True):
            if entry.answer.done():
                continue
            if isinstance(outcome, GatewayError):
                entry.answer.set_exception(outcome)
            else:
                entry.answer.set_result(outcome)

    def _refuse_waiting(self) -> None:
        """A run does not end, so another would hardly."""
        waiting = self._queue.take(len(self._queue))
        self._unwatch()
        for entry in waiting:
            entry.stop_waiting()
        self._hand_out(waiting, [self._stuck.error(self._model) for _ in waiting])
        self._telemetry.emit(QueueChanged(self._model, 0))

    def _delay(self, entry: _Entry) -> None:
        """Serve ``entry`` after those of its level that are in time."""
        entry.limit = None
        self._queue.delay(entry)

    def _reject(self, entry: _Entry) -> None:
        if not entry.answer.done():
            entry.answer.set_exception(
                GatewayError(
                    Fault.OVERLOADED,
                    f"Request timeout expired: it has waited for model '{self._model}' as long as its queue "
                    "policy allows; try again later",
                    retryable=True,
                    retry_after_s=self._retry_after_s(),
                )
            )
            self._leave(entry)

    def _leave(self, entry: _Entry) -> None:
        entry.stop_waiting()
        self._queue.remove(entry)
        if self._timed is entry:
            self._unwatch()
        self._telemetry.emit(QueueChanged(self._model, len(self._queue)))
        self._review()
        self._note_if_drained()

    def _is_full(self, level: int, most: int, now: float) -> bool:
        if self._queue.count(level) < most:
            return False
        self._drop_gone(now)
        return self._queue.count(level) >= most

    def _drop_gone(self, now: float) -> None:
        """Drop what is past its deadline, or was cancelled and is not yet awake to leave by itself."""
        gone = [entry for entry in self._queue if entry.deadline <= now or entry.answer.done()]
        for entry in gone:
            entry.stop_waiting()
            self._queue.remove(entry)
            if not entry.answer.done():
                message = f"the deadline passed in the queue of model '{self._model}'"
                entry.answer.set_exception(GatewayError(Fault.DEADLINE, message))
        if gone:
            self._telemetry.emit(QueueChanged(self._model, len(self._queue)))

    def _note_if_drained(self) -> None:
        if self._closed and not self._queue and not self._running:
            self._drained.set()

    def _overloaded(self, most: int) -> GatewayError:
        return GatewayError(
            Fault.OVERLOADED,
            f"Exceeds maximum queue size: {most} requests wait for model '{self._model}'; try again later",
            retryable=True,
            retry_after_s=self._retry_after_s(),
        )

    def _retry_after_s(self) -> float:
        batches = math.ceil(len(self._queue) / self._max_rows)
        return max(_LEAST_RETRY_AFTER_S, batches * self._pace_s)


def _is_wanted(batch: Iterable[_Entry]) -> bool:
    return not all(entry.answer.done() for entry in batch)


def _failure(done: asyncio.Future[Any]) -> GatewayError:
    error = None if done.cancelled() else done.exception()
    return error.replaced() if isinstance(error, GatewayError) else run_failed()
