"""Dynamic batching: requests that wait for the same model share one run.

Requests of different scopes share nothing but the executor: each scope has a queue of its own
(``edge_models.scope_queues``), and they take turns.

A queue has three events: a request arrives, a waiter leaves, a run ends; one timer, for the delay
of the request that waits longest; and one for each request whose policy sets its waiting a limit. Each leads
to ``_review``, which acquires an executor when a batch is due. The batch is taken from its queue when the
executor is free (``_begin``), runs, and is handed out (``_finish``). ``edge_models.waiting_requests`` decides
in which order requests wait, ``edge_models.batch`` which of them make a batch.

A waiter that leaves takes its request out of the queue; out of a batch that already runs it takes only
its own interest.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from edge_models.batch import Feed, Outcome, Run, Spent, batch_length, failure_of, run_batch
from edge_models.executors import UNLIMITED, Executors, RunLimit, Slot, StuckRuns
from edge_models.scope_queues import ScopeQueue, ScopeQueues
from edge_models.session import StoppableRun
from edge_models.settings import BatchingSettings
from edge_models.waiting_requests import Priorities
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
    queue: ScopeQueue[_Entry]
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
    queue: ScopeQueue[_Entry]
    entries: list[_Entry]
    began: float
    slot: Slot
    run: StoppableRun | None


class Batcher:
    """The queues of one model.

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
        self._clock = clock
        self._telemetry = telemetry
        self._queues: ScopeQueues[_Entry] = ScopeQueues(ordered=settings.preserve_ordering)
        self._is_acquiring = False
        self._running = 0
        self._closed = False
        self._drained = asyncio.Event()

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<Batcher {self._model} {len(self._queues)} queued, {self._running} running{closed}>"

    async def __call__(
        self, feed: Feed, rows: int, deadline: float = math.inf, priority: int = 0, scope: Hashable = ""
    ) -> list[Array]:
        """Return the outputs for ``feed``, which has ``rows`` rows, run alone or in company of its ``scope``.

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
        if self._queues.count(level) >= policy.max_waiting:
            self._make_room(scope, level, policy.max_waiting, now)
        kind = tuple([(name, array.dtype, array.shape[1:]) for name, array in sorted(feed.items())])
        loop = asyncio.get_running_loop()
        weight = rows if self._batchable else 1
        queue = self._queues.of(scope)
        entry = _Entry(feed, rows, weight, kind, deadline, now, loop.create_future(), queue, level)
        if policy.timeout_s != math.inf:
            end = self._delay if policy.delays else self._reject
            entry.limit = loop.call_at(now + policy.timeout_s, end, entry)
        self._queues.append(queue, entry)
        self._telemetry.emit(QueueChanged(self._model, len(self._queues)))
        self._review()
        try:
            return await entry.answer
        finally:
            if entry.waiting:
                self._leave(entry)

    async def close(self) -> None:
        """Take no more, finish what was accepted without waiting for company, return when all is done."""
        self._closed = True
        for queue in self._queues.all():
            self._queues.wake(queue)
        self._review()
        self._note_if_drained()
        await self._drained.wait()

    def _review(self) -> None:
        if self._is_acquiring or self._running >= self._instances:
            return
        while (queue := self._queues.candidate()) is not None:
            if self._due(queue):
                self._is_acquiring = True
                self._executor.acquire(self._begin)
                return
            self._await_delay(queue)

    def _due(self, queue: ScopeQueue[_Entry]) -> int:
        oldest = queue.waiting.oldest()
        late = self._closed or oldest.late or self._clock.now() - oldest.arrived >= self._delay_s
        return batch_length(self._rows(queue), self._preferred, self._max_rows, late=late)

    def _rows(self, queue: ScopeQueue[_Entry]) -> Iterable[int]:
        """Yield the rows of each request; more than any batch may have where the kind is not the first's."""
        kind = queue.waiting.first().kind
        return (entry.weight if entry.kind == kind else self._max_rows + 1 for entry in queue.waiting)

    def _await_delay(self, queue: ScopeQueue[_Entry]) -> None:
        """Nothing is due in ``queue``: look at it again when its oldest request has waited long enough."""
        self._queues.rest(queue)
        oldest = queue.waiting.oldest()
        if queue.timed is not oldest:
            loop = asyncio.get_running_loop()
            queue.watch(oldest, loop.call_at(oldest.arrived + self._delay_s, self._delay_passed, oldest))

    def _delay_passed(self, oldest: _Entry) -> None:
        oldest.queue.unwatch()
        oldest.late = True
        self._queues.wake(oldest.queue)
        self._review()

    def _begin(self, slot: Slot) -> None:
        self._is_acquiring = False
        now = self._clock.now()
        if self._stuck.count:
            self._refuse_waiting()
        queue, count = self._next(now)
        if queue is None:
            slot.release()
            self._review()
            self._note_if_drained()
            return
        entries = self._queues.take(queue, count)
        for entry in entries:
            entry.stop_waiting()
        self._running += 1
        queue.running += 1
        self._telemetry.emit(QueueChanged(self._model, len(self._queues)))
        run = self._stoppable.start() if self._stoppable is not None else None
        batch = _Batch(queue, entries, now, slot, run)
        if queue.order is not None:
            queue.order.begin(batch)
        feeds, rows = [entry.feed for entry in entries], [entry.rows for entry in entries]
        done = slot.run(partial(run_batch, run or self._run, feeds, rows), self._limit(batch))
        if done.done():
            self._finish(batch, done)
        else:
            done.add_done_callback(partial(self._finish, batch))
        self._review()

    def _next(self, now: float) -> tuple[ScopeQueue[_Entry] | None, int]:
        """Return the queue whose turn it is, of those with a batch that is due, and the batch's length."""
        while (queue := self._queues.candidate()) is not None:
            self._drop_gone(queue, now)
            if queue.waiting:
                if count := self._due(queue):
                    return queue, count
                self._await_delay(queue)
        return None, 0

    def _limit(self, batch: _Batch) -> RunLimit:
        """Return how long ``batch`` may run; it is stopped as soon as nobody waits for an answer."""
        if self._stoppable is None or batch.run is None:
            return UNLIMITED
        deadline = max([entry.deadline for entry in batch.entries])
        wanted = partial(_is_wanted, batch.entries)
        return RunLimit(batch.run.stop, wanted, deadline, self._stoppable.timeout_s)

    def _finish(self, batch: _Batch, done: asyncio.Future[tuple[list[Outcome], Spent]]) -> None:
        queue = batch.queue
        self._running -= 1
        queue.running -= 1
        spent = Spent(queue.pace_s)
        if done.cancelled() or done.exception() is not None:
            outcomes: list[Outcome] = [failure_of(done) for _ in batch.entries]
        else:
            outcomes, spent = done.result()
            queue.pace_s = spent.total_s
        if queue.order is None:
            self._hand_out(batch.entries, outcomes)
        else:
            queue.order.end(batch, partial(self._hand_out, batch.entries, outcomes))
        self._report(batch, spent)
        if batch.run is not None and batch.run.is_stopped:
            self._telemetry.emit(RunCut(self._model, "given_up" if self._stuck.count else "stopped"))
        self._queues.forget_if_idle(queue)
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
        for queue in self._queues.all():
            waiting = self._queues.take(queue, len(queue.waiting))
            for entry in waiting:
                entry.stop_waiting()
            self._hand_out(waiting, [self._stuck.error(self._model) for _ in waiting])
            self._queues.forget_if_idle(queue)
        self._telemetry.emit(QueueChanged(self._model, 0))

    def _delay(self, entry: _Entry) -> None:
        """Serve ``entry`` after those of its level that are in time."""
        entry.limit = None
        entry.queue.waiting.delay(entry)

    def _reject(self, entry: _Entry) -> None:
        self._refuse(
            entry,
            f"Request timeout expired: it has waited for model '{self._model}' as long as its queue "
            "policy allows; try again later",
        )

    def _refuse(self, entry: _Entry, message: str) -> None:
        if not entry.answer.done():
            entry.answer.set_exception(self._overloaded(entry.queue, message))
            self._leave(entry)

    def _leave(self, entry: _Entry) -> None:
        entry.stop_waiting()
        self._queues.remove(entry.queue, entry)
        self._queues.forget_if_idle(entry.queue)
        self._telemetry.emit(QueueChanged(self._model, len(self._queues)))
        self._review()
        self._note_if_drained()

    def _make_room(self, scope: Hashable, level: int, most: int, now: float) -> None:
        """Refuse a request of ``scope``, or the latest of the scope that has most where this has fewer."""
        for queue in self._queues.all():
            self._drop_gone(queue, now)
        if self._queues.count(level) < most:
            return
        full = f"Exceeds maximum queue size: {most} requests wait for model '{self._model}'; try again later"
        own, longest = self._queues.find(scope), self._queues.longest(level)
        if (own.waiting.count(level) if own is not None else 0) + 1 >= longest.waiting.count(level):
            raise self._overloaded(own, full)
        self._refuse(longest.waiting.last(level), full)

    def _drop_gone(self, queue: ScopeQueue[_Entry], now: float) -> None:
        """Drop what is past its deadline, or was cancelled and is not yet awake to leave by itself."""
        gone = [entry for entry in queue.waiting if entry.deadline <= now or entry.answer.done()]
        if not gone:
            return
        for entry in gone:
            entry.stop_waiting()
            self._queues.remove(queue, entry)
            if not entry.answer.done():
                message = f"the deadline passed in the queue of model '{self._model}'"
                entry.answer.set_exception(GatewayError(Fault.DEADLINE, message))
        self._queues.forget_if_idle(queue)
        self._telemetry.emit(QueueChanged(self._model, len(self._queues)))

    def _note_if_drained(self) -> None:
        if self._closed and not self._queues and not self._running:
            self._drained.set()

    def _overloaded(self, queue: ScopeQueue[_Entry] | None, message: str) -> GatewayError:
        """Return the error; when to come again is told by what the scope itself has waiting."""
        after_s = math.ceil(len(queue.waiting) / self._max_rows) * queue.pace_s if queue is not None else 0.0
        retry_after_s = max(_LEAST_RETRY_AFTER_S, after_s)
        return GatewayError(Fault.OVERLOADED, message, retryable=True, retry_after_s=retry_after_s)


def _is_wanted(batch: Iterable[_Entry]) -> bool:
    return not all(entry.answer.done() for entry in batch)
