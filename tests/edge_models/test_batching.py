"""The queue of one model: who shares a run, who waits how long, who leaves."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest

from edge_models.batching import Batcher, Stoppable
from edge_models.executors import StuckRuns, ThreadExecutor
from edge_models.settings import BatchingSettings
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.telemetry import BatchRan, Event, QueueChanged, RunCut
from tests.edge_models.executors import Held, Instant, Slow
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_loop, virtual_time


class Doubler:
    """Doubles x, remembers the batch sizes, and fails on negative numbers."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, feed):
        self.sizes.append(len(feed["x"]))
        if (feed["x"] < 0).any():
            raise GatewayError(Fault.INVALID, "negative")
        return [feed["x"] * 2]


def feed(value: float, rows: int = 1, width: int = 1) -> dict[str, Any]:
    return {"x": np.full((rows, width), float(value))}


def batcher(run, workers, telemetry=None, *, batchable=True, instances=64, **settings) -> Batcher:
    return Batcher(
        "digits",
        run,
        workers,
        settings=BatchingSettings(**settings),
        clock=LoopClock(),
        telemetry=telemetry or RecordingTelemetry(),
        batchable=batchable,
        instances=instances,
    )


async def start(batcher, *feeds, **kwargs) -> list[asyncio.Task[Any]]:
    """Tasks that wait for their feeds, all of them queued or running."""
    tasks = [asyncio.create_task(batcher(f, len(f["x"]), **kwargs)) for f in feeds]
    await asyncio.sleep(0)
    return tasks


async def let_go(held: Held) -> None:
    held.let_go()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@virtual_time
async def test_a_lone_request_runs_at_once():
    """Without a delay, an idle model never makes a request wait."""
    run, telemetry = Doubler(), RecordingTelemetry()
    subject = batcher(run, ThreadExecutor(1, executor=Instant()), telemetry)

    (answer,) = await subject(feed(1), 1)

    assert answer.tolist() == [[2]]
    assert [(e.size, e.requests, e.queue_s) for e in telemetry.of(BatchRan)] == [(1, 1, 0)]
    assert [e.depth for e in telemetry.of(QueueChanged)] == [1, 0]
    assert asyncio.get_running_loop().time() == 1000.0
    assert repr(subject) == "<Batcher digits 0 queued, 0 running>"


@virtual_time
async def test_what_piles_up_while_the_threads_are_busy_shares_a_run():
    """With delay 0, company comes from waiting for a thread and from nothing else."""
    run, held, telemetry = Doubler(), Held(), RecordingTelemetry()
    subject = batcher(run, ThreadExecutor(1, executor=held), telemetry)

    tasks = await start(subject, *(feed(value) for value in range(4)))
    assert repr(subject) == "<Batcher digits 3 queued, 1 running>"
    await let_go(held)
    await let_go(held)

    assert run.sizes == [1, 3]
    assert [task.result()[0].item() for task in tasks] == [0, 2, 4, 6]
    assert [(e.size, e.requests) for e in telemetry.of(BatchRan)] == [(1, 1), (3, 3)]


@virtual_time
async def test_two_threads_run_two_batches():
    """A free thread never waits while a batch is due."""
    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(2, executor=held))

    tasks = await start(subject, feed(1), feed(2), feed(3))

    assert repr(subject) == "<Batcher digits 1 queued, 2 running>"
    for _ in range(3):
        await let_go(held)
    assert [task.result()[0].item() for task in tasks] == [2, 4, 6]


@virtual_time
async def test_the_oldest_request_waits_no_longer_than_the_delay():
    """The delay counts from the first arrival, not from the last."""
    run, telemetry = Doubler(), RecordingTelemetry()
    subject = batcher(
        run, ThreadExecutor(1, executor=Instant()), telemetry, max_queue_delay_microseconds=5000
    )

    tasks = await start(subject, feed(1))
    await asyncio.sleep(0.004)
    tasks += await start(subject, feed(2))
    await asyncio.gather(*tasks)

    assert asyncio.get_running_loop().time() == pytest.approx(1000.005)
    assert run.sizes == [2]
    assert telemetry.of(BatchRan)[0].queue_s == pytest.approx(0.005)


@virtual_time
async def test_a_preferred_size_does_not_wait():
    """The largest preferred size runs at once; the rest begins its own delay."""
    run = Doubler()
    subject = batcher(
        run,
        ThreadExecutor(1, executor=Instant()),
        preferred_batch_size=(2, 4),
        max_batch_size=8,
        max_queue_delay_microseconds=5000,
    )

    first = await start(subject, feed(1))
    second = await start(subject, feed(2))
    await asyncio.gather(*first, *second)
    assert asyncio.get_running_loop().time() == 1000.0
    (last,) = await start(subject, feed(3))
    await last

    assert run.sizes == [2, 1]
    assert asyncio.get_running_loop().time() == pytest.approx(1000.005)


@virtual_time
async def test_a_full_batch_does_not_wait():
    """At max_batch_size there is nothing to wait for; what does not fit runs next, in order."""
    run = Doubler()
    subject = batcher(
        run, ThreadExecutor(1, executor=Instant()), max_batch_size=4, max_queue_delay_microseconds=5000
    )

    tasks = await start(subject, feed(1, 3), feed(2, 2), feed(3, 2))
    await asyncio.gather(*tasks)

    assert run.sizes == [3, 4]
    assert asyncio.get_running_loop().time() == 1000.0


@virtual_time
async def test_unlike_requests_never_share_a_run_and_keep_their_order():
    """Another row shape ends the batch; requests behind it do not overtake."""
    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held))

    tasks = await start(subject, feed(0), feed(1), feed(2, width=3), feed(3))
    for _ in range(4):
        await let_go(held)

    assert run.sizes == [1, 1, 1, 1]
    assert [task.result()[0].shape for task in tasks] == [(1, 1), (1, 1), (1, 3), (1, 1)]


@virtual_time
async def test_a_model_that_is_not_batchable_runs_one_request_at_a_time():
    """Its delay is of no use to anybody, so there is none."""
    run, held = Doubler(), Held()
    subject = batcher(
        run, ThreadExecutor(1, executor=held), batchable=False, max_queue_delay_microseconds=5000
    )

    tasks = [asyncio.create_task(subject(feed(value, rows=2), 1)) for value in (1, 2)]
    await asyncio.sleep(0)
    await let_go(held)
    await let_go(held)

    assert run.sizes == [2, 2]
    assert [task.result()[0][0].item() for task in tasks] == [2, 4]


@virtual_time
async def test_one_of_four_leaves_the_queue():
    """A waiter that leaves takes its request along; the other three get their answers."""
    run, held, telemetry = Doubler(), Held(), RecordingTelemetry()
    subject = batcher(run, ThreadExecutor(1, executor=held), telemetry)
    (busy,) = await start(subject, feed(0))
    tasks = await start(subject, *(feed(value) for value in range(1, 5)))

    tasks[1].cancel()
    await asyncio.sleep(0)
    assert repr(subject) == "<Batcher digits 3 queued, 1 running>"
    await let_go(held)
    await let_go(held)

    assert run.sizes == [1, 3]
    assert [task.result()[0].item() for task in (tasks[0], *tasks[2:])] == [2, 6, 8]
    assert tasks[1].cancelled()
    assert busy.done()
    assert telemetry.of(QueueChanged)[-2].depth == 3


@virtual_time
async def test_one_of_four_leaves_a_running_batch():
    """A waiter that leaves during the run loses its rows and nobody else's."""
    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held))
    await start(subject, feed(0))
    tasks = await start(subject, *(feed(value) for value in range(1, 5)))
    await let_go(held)

    tasks[1].cancel()
    await asyncio.sleep(0)
    await let_go(held)

    assert run.sizes == [1, 4]
    assert [task.result()[0].item() for task in (tasks[0], *tasks[2:])] == [2, 6, 8]
    assert repr(subject) == "<Batcher digits 0 queued, 0 running>"


@virtual_time
async def test_waiters_that_leave_as_the_batch_is_made_are_not_in_it():
    """Cancelled, but not yet awake to say so, with a deadline passed or not: they are skipped."""
    leaves: list[asyncio.Task[Any]] = []

    class ConnectionClosing(RecordingTelemetry):
        """Cancels as one batch has ended, just before the next is made."""

        def emit(self, event: Event) -> None:
            super().emit(event)
            if isinstance(event, BatchRan):
                for task in leaves:
                    task.cancel()

    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held), ConnectionClosing())
    await start(subject, feed(0))
    leaves += await start(subject, feed(1), deadline=1000.5) + await start(subject, feed(2))
    (stays,) = await start(subject, feed(3))
    await asyncio.sleep(1)
    await let_go(held)
    await let_go(held)

    assert run.sizes == [1, 1]
    assert stays.result()[0].item() == 6
    assert all(task.cancelled() for task in leaves)


@virtual_time
async def test_the_first_of_the_queue_leaves_while_its_delay_runs():
    """The next in line has its own full delay; when all have left, no timer is left behind."""
    run, loop = Doubler(), virtual_loop()
    subject = batcher(run, ThreadExecutor(1, executor=Instant()), max_queue_delay_microseconds=5000)
    (first,) = await start(subject, feed(1))
    await asyncio.sleep(0.003)
    (second,) = await start(subject, feed(2))

    first.cancel()
    await second

    assert loop.time() == pytest.approx(1000.008)
    assert run.sizes == [1]
    (last,) = await start(subject, feed(3))
    last.cancel()
    await asyncio.sleep(0)
    assert loop.armed == []


@virtual_time
async def test_all_leave_before_the_thread_is_there():
    """The thread that was asked for goes back, and serves who comes next."""
    run, held = Doubler(), Held()
    workers = ThreadExecutor(1, executor=held)
    subject, other = batcher(run, workers), batcher(run, workers)
    await start(other, feed(0))
    tasks = await start(subject, feed(1), feed(2))

    for task in tasks:
        task.cancel()
    await let_go(held)

    assert repr(workers) == "<ThreadExecutor 0/1 busy, 0 waiting>"
    (next_one,) = await start(subject, feed(3))
    await let_go(held)
    assert next_one.result()[0].item() == 6


@virtual_time
async def test_a_batch_that_shrank_below_its_preferred_size_waits_on():
    """When waiters leave before the thread is there, the rest keeps its delay."""
    run, held = Doubler(), Held()
    workers = ThreadExecutor(1, executor=held)
    other = batcher(run, workers)
    subject = batcher(run, workers, preferred_batch_size=(2,), max_queue_delay_microseconds=5000)
    await start(other, feed(0))
    stays, leaves = await start(subject, feed(1), feed(2))

    leaves.cancel()
    await let_go(held)
    assert repr(workers) == "<ThreadExecutor 0/1 busy, 0 waiting>"
    await asyncio.sleep(0.006)
    await let_go(held)

    assert stays.result()[0].item() == 2


@virtual_time
async def test_one_of_four_is_bad():
    """A joined run that fails is repeated one by one: only the bad request fails."""
    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held))
    await start(subject, feed(0))
    tasks = await start(subject, feed(1), feed(-1), feed(3), feed(4))
    await let_go(held)
    await let_go(held)

    assert run.sizes == [1, 4, 1, 1, 1, 1]
    assert [task.result()[0].item() for task in (tasks[0], *tasks[2:])] == [2, 6, 8]
    assert repr(tasks[1].exception()) == "GatewayError(invalid, 'negative')"


@virtual_time
async def test_the_queue_is_bounded():
    """One more than max_queue_size is refused at once, with a time to come back; the others are served."""
    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held), max_queue_size=2)
    tasks = await start(subject, feed(0), feed(1), feed(2))

    with pytest.raises(GatewayError) as caught:
        await subject(feed(3), 1)

    assert (caught.value.fault, caught.value.retryable) == (Fault.OVERLOADED, True)
    assert caught.value.retry_after_s > 0
    await let_go(held)
    await let_go(held)
    assert [task.result()[0].item() for task in tasks] == [0, 2, 4]


@virtual_time
async def test_requests_past_their_deadline_make_room():
    """What nobody waits for any more is dropped before it is run, and before others are refused."""
    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held), max_queue_size=1)
    await start(subject, feed(0))
    (late,) = await start(subject, feed(1), deadline=1000.5)
    await asyncio.sleep(1)

    (fresh,) = await start(subject, feed(2))
    await let_go(held)
    await let_go(held)

    assert late.exception().fault is Fault.DEADLINE
    assert fresh.result()[0].item() == 4
    assert run.sizes == [1, 1]


@virtual_time
async def test_an_expired_request_is_not_run():
    """The thread is there too late: the expired request fails, its neighbours run without it."""
    run = Doubler()
    subject = batcher(run, ThreadExecutor(1, executor=Slow(1.0)))
    first = await start(subject, feed(0))
    late = await start(subject, feed(1), deadline=1000.5)
    fresh = await start(subject, feed(2), deadline=1003.0)

    await asyncio.wait([*first, *late, *fresh])

    assert run.sizes == [1, 1]
    assert late[0].exception().fault is Fault.DEADLINE
    assert not late[0].exception().counts
    assert fresh[0].result()[0].item() == 4


@virtual_time
async def test_models_share_the_threads_in_turn():
    """A model with a long queue does not keep another from its turn."""
    held = Held()
    workers = ThreadExecutor(1, executor=held)
    busy_run, other_run = Doubler(), Doubler()
    busy = batcher(busy_run, workers, max_batch_size=1)
    other = batcher(other_run, workers)

    await start(busy, feed(1), feed(2), feed(3), feed(4))
    (task,) = await start(other, feed(9))
    await let_go(held)
    await let_go(held)
    await let_go(held)

    assert task.result()[0].item() == 18
    assert busy_run.sizes == [1, 1]
    for _ in range(2):
        await let_go(held)


@virtual_time
async def test_close_finishes_what_was_accepted():
    """Draining answers everything, does not wait for company, and takes no more."""
    run = Doubler()
    subject = batcher(
        run, ThreadExecutor(1, executor=Slow(0.1)), max_batch_size=2, max_queue_delay_microseconds=10_000_000
    )
    tasks = await start(subject, feed(1), feed(2), feed(3))

    closing = asyncio.create_task(subject.close())
    await asyncio.sleep(0)
    with pytest.raises(GatewayError, match="shutting down") as caught:
        await subject(feed(4), 1)
    await closing

    assert caught.value.fault is Fault.UNAVAILABLE
    assert [task.result()[0].item() for task in tasks] == [2, 4, 6]
    assert asyncio.get_running_loop().time() == pytest.approx(1000.2)
    assert repr(subject) == "<Batcher digits 0 queued, 0 running closed>"


@virtual_time
async def test_close_does_not_wait_for_who_left():
    """The last waiter leaves while the model drains: the drain ends."""
    held = Held()
    workers = ThreadExecutor(1, executor=held)
    other, subject = batcher(Doubler(), workers), batcher(Doubler(), workers)
    await start(other, feed(0))
    (task,) = await start(subject, feed(1))
    closing = asyncio.create_task(subject.close())
    await asyncio.sleep(0)

    task.cancel()
    await closing

    await let_go(held)
    assert repr(workers) == "<ThreadExecutor 0/1 busy, 0 waiting>"


@virtual_time
async def test_close_waits_for_what_waits_for_a_thread():
    """The thread is another model's at the moment: what was accepted here runs when it is free, without company."""
    held = Held()
    executors = ThreadExecutor(1, executor=held)
    other = batcher(Doubler(), executors)
    subject = batcher(Doubler(), executors, max_queue_delay_microseconds=10_000_000)
    await start(other, feed(0))
    (accepted,) = await start(subject, feed(1))
    closing = asyncio.create_task(subject.close())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not closing.done()

    await let_go(held)
    assert not closing.done(), "it runs now"
    await let_go(held)
    await closing

    assert accepted.result()[0].item() == 2
    assert asyncio.get_running_loop().time() == 1000.0


@virtual_time
async def test_close_after_an_idle_spell():
    """Two batches ran at the same time, and nothing has come since: nothing is left to wait for."""
    held = Held()
    subject = batcher(Doubler(), ThreadExecutor(2, executor=held))
    tasks = await start(subject, feed(1), feed(2))
    assert repr(subject) == "<Batcher digits 0 queued, 2 running>"
    await let_go(held)
    await let_go(held)
    assert repr(subject) == "<Batcher digits 0 queued, 0 running>"
    await asyncio.sleep(3600)

    async with asyncio.timeout(1):
        await subject.close()

    assert [task.result()[0].item() for task in tasks] == [2, 4]


@virtual_time
async def test_close_waits_for_the_batch_that_runs():
    """However long it takes, and although the queue was idle before."""
    held = Held()
    subject = batcher(Doubler(), ThreadExecutor(1, executor=held))
    await start(subject, feed(0))
    await let_go(held)
    (accepted,) = await start(subject, feed(1))
    closing = asyncio.create_task(subject.close())
    await asyncio.sleep(60)
    assert not closing.done()

    await let_go(held)
    await closing

    assert accepted.result()[0].item() == 2


@virtual_time
async def test_an_idle_queue_closes_at_once():
    """Nothing accepted, nothing to wait for; closing twice is closing once."""
    subject = batcher(Doubler(), ThreadExecutor(1, executor=Instant()))

    await subject.close()
    await subject.close()

    assert asyncio.get_running_loop().time() == 1000.0
    assert repr(subject) == "<Batcher digits 0 queued, 0 running closed>"
    with pytest.raises(GatewayError) as caught:
        await subject(feed(1), 1)
    assert caught.value.fault is Fault.UNAVAILABLE


@virtual_time
async def test_a_thread_that_dies_fails_its_batch_only():
    """Whatever happens to the executor, every waiter hears of it and the queue goes on."""
    held = Held()
    subject = batcher(Doubler(), ThreadExecutor(1, executor=held))
    (dropped,) = await start(subject, feed(1))
    (served,) = await start(subject, feed(2))

    held.drop()
    for _ in range(4):
        await asyncio.sleep(0)
    await let_go(held)

    assert repr(dropped.exception()) == "GatewayError(internal, 'the model failed to run', counts)"
    assert served.result()[0].item() == 4


async def test_real_threads_answer_many_callers_some_of_whom_leave():
    """Two hundred callers, every seventh leaves: everybody else has the right answer."""
    gate = threading.Event()
    run = Doubler()

    def slow_first(feed):
        gate.wait(5)
        return run(feed)

    workers = ThreadExecutor(2)
    subject = batcher(slow_first, workers, max_batch_size=16)
    tasks = await start(subject, *(feed(value, rows=1 + value % 3) for value in range(200)))
    for task in tasks[::7]:
        task.cancel()
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    await subject.close()
    workers.close()

    for value, task in enumerate(tasks):
        if value % 7 == 0:
            assert task.cancelled()
        else:
            assert task.result()[0].tolist() == [[2 * value]] * (1 + value % 3)
    assert max(run.sizes) <= 16
    assert len(run.sizes) < 100


class Endless:
    """A run that ends when it is stopped, or not even then."""

    def __init__(self, *, stops: bool = True) -> None:
        self.stops, self.is_stopped, self.leave = stops, False, threading.Event()

    def __call__(self, _feed):
        self.leave.wait(30)
        raise GatewayError(Fault.DEADLINE, "stopped")

    def stop(self) -> None:
        self.is_stopped = True
        if self.stops:
            self.leave.set()


def endless_batcher(
    run: Endless, workers: ThreadExecutor, telemetry: RecordingTelemetry, timeout_s: float = 3600
) -> Batcher:
    return Batcher(
        "digits",
        run,
        workers,
        settings=BatchingSettings(max_batch_size=1),
        clock=LoopClock(),
        telemetry=telemetry,
        stoppable=Stoppable(lambda: run, timeout_s, StuckRuns()),
    )


@pytest.mark.parametrize("why", ["left", "deadline", "timeout"])
async def test_a_run_that_does_not_end_is_stopped(why):
    """When its caller leaves, at its deadline, or at the model's own limit; the others get their thread."""
    run, workers, telemetry = Endless(), ThreadExecutor(1), RecordingTelemetry()
    subject = endless_batcher(run, workers, telemetry, 0.2 if why == "timeout" else 3600)
    deadline = asyncio.get_running_loop().time() + (0.2 if why == "deadline" else 3600)

    (task,) = await start(subject, feed(1), deadline=deadline)
    if why == "left":
        task.cancel()
    (outcome,) = await asyncio.gather(task, return_exceptions=True)
    await subject.close()

    assert run.is_stopped
    assert telemetry.of(RunCut) == [RunCut("digits", "stopped")]
    assert isinstance(outcome, asyncio.CancelledError if why == "left" else GatewayError)
    workers.close()


@virtual_time
async def test_a_model_with_a_run_that_never_ends_is_not_available():
    """Neither for those who wait nor for those who come, until it ends after all."""
    held, telemetry = Held(), RecordingTelemetry()
    run, workers = Endless(stops=False), ThreadExecutor(1, executor=held)
    subject = endless_batcher(run, workers, telemetry, 1)
    tasks = await start(subject, feed(1), feed(2), feed(3))

    faults = [error.fault for error in await asyncio.gather(*tasks, return_exceptions=True)]

    assert faults == [Fault.UNAVAILABLE] * 3
    assert len(held.runs) == 1
    assert telemetry.of(RunCut) == [RunCut("digits", "given_up")]
    assert repr(subject) == "<Batcher digits 0 queued, 0 running>"
    with pytest.raises(GatewayError, match="a run of it does not end"):
        await subject(feed(4), 1)
    run.leave.set()
    await let_go(held)
    (task,) = await start(subject, feed(5))
    await let_go(held)
    with pytest.raises(GatewayError, match="stopped"):
        await task
    await subject.close()
