"""The queue of one model under Triton's policies: priorities, timeouts of queues, instances, order."""

from __future__ import annotations

import asyncio

import pytest

from edge_models.executors import ThreadExecutor
from edge_models.settings import QueuePolicy
from gateway.core.errors import Fault
from gateway.core.telemetry import BatchRan, QueueChanged
from tests.edge_models.executors import Held, Instant
from tests.edge_models.test_batching import Doubler, batcher, feed, let_go, start
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_loop, virtual_time

TEN_MS = 10_000


class Order:
    """Remembers the values in the order in which they are run."""

    def __init__(self) -> None:
        self.runs: list[list[float]] = []

    def __call__(self, feed):
        self.runs.append(feed["x"].ravel().tolist())
        return [feed["x"] * 2]


def policy(action="REJECT", timeout_us=TEN_MS, most=0) -> QueuePolicy:
    return QueuePolicy(timeout_action=action, default_timeout_microseconds=timeout_us, max_queue_size=most)


@virtual_time
async def test_a_higher_priority_runs_first():
    """Also when it came last; within a priority who came first. One that says none has the default."""
    run, held = Order(), Held()
    subject = batcher(
        run, ThreadExecutor(1, executor=held), max_batch_size=2, priority_levels=3, default_priority_level=2
    )
    await start(subject, feed(0))

    for value, priority in ((1, 3), (2, 0), (3, 2), (4, 1), (5, 99), (6, 1)):
        await start(subject, feed(value), priority=priority)
    for _ in range(4):
        await let_go(held)

    assert run.runs == [[0], [4, 6], [2, 3], [5, 1]]


@virtual_time
async def test_a_low_priority_that_waits_its_delay_brings_a_batch_about():
    """The delay is that of the request that waits longest, and not of the one that is served first."""
    run, loop = Order(), virtual_loop()
    subject = batcher(
        run,
        ThreadExecutor(1, executor=Instant()),
        max_queue_delay_microseconds=TEN_MS,
        priority_levels=2,
        default_priority_level=2,
    )
    tasks = await start(subject, feed(1))
    await asyncio.sleep(0.008)
    tasks += await start(subject, feed(2), priority=1)

    await asyncio.gather(*tasks)

    assert loop.time() == pytest.approx(1000.010)
    assert run.runs == [[2, 1]]


@virtual_time
async def test_the_wait_that_is_reported_is_the_longest_of_the_batch():
    """Whoever comes first in it may have come last."""
    held, telemetry = Held(), RecordingTelemetry()
    subject = batcher(
        Order(), ThreadExecutor(1, executor=held), telemetry, priority_levels=2, default_priority_level=2
    )
    await start(subject, feed(0))
    await start(subject, feed(1))
    await asyncio.sleep(0.5)
    await start(subject, feed(2), priority=1)
    await asyncio.sleep(0.25)
    await let_go(held)
    await let_go(held)

    ran = telemetry.of(BatchRan)[1]
    assert (ran.queue_s, ran.queued_s) == (pytest.approx(0.75), pytest.approx(1.0))


@virtual_time
async def test_reject_ends_the_waiting():
    """At the time, not when a thread is free; those who have no limit wait on, and no timer is left."""
    run, held, telemetry, loop = Order(), Held(), RecordingTelemetry(), virtual_loop()
    subject = batcher(
        run,
        ThreadExecutor(1, executor=held),
        telemetry,
        priority_levels=2,
        default_priority_level=1,
        priority_queue_policy={2: policy()},
    )
    await start(subject, feed(0))
    (stays,) = await start(subject, feed(1))
    (ends,) = await start(subject, feed(2), priority=2)

    await asyncio.wait([ends])

    error = ends.exception()
    assert loop.time() == pytest.approx(1000.010)
    assert (error.fault, error.retryable, error.counts) == (Fault.OVERLOADED, True, False)
    assert error.message.startswith("Request timeout expired")
    assert error.retry_after_s > 0
    assert telemetry.of(QueueChanged)[-1].depth == 1
    await let_go(held)
    await let_go(held)
    assert stays.result()[0].item() == 2
    assert run.runs == [[0], [1]]
    assert loop.armed == []


@virtual_time
async def test_what_began_is_not_rejected():
    """The policy is about waiting: a run may take longer."""
    held, loop = Held(), virtual_loop()
    subject = batcher(Order(), ThreadExecutor(1, executor=held), default_queue_policy=policy())
    (task,) = await start(subject, feed(3))
    await asyncio.sleep(1)

    await let_go(held)

    assert task.result()[0].item() == 6
    assert loop.armed == []


@virtual_time
async def test_delay_serves_it_after_those_in_time():
    """Its answer comes late, and only then."""
    run, held = Order(), Held()
    subject = batcher(
        run, ThreadExecutor(1, executor=held), max_batch_size=1, default_queue_policy=policy("DELAY")
    )
    await start(subject, feed(0))
    tasks = await start(subject, feed(1), feed(2))
    await asyncio.sleep(0.011)
    tasks += await start(subject, feed(3))
    for _ in range(4):
        await let_go(held)

    assert run.runs == [[0], [3], [1], [2]]
    assert [task.result()[0].item() for task in tasks] == [2, 4, 6]


@pytest.mark.parametrize("action", ["REJECT", "DELAY"])
@virtual_time
async def test_a_waiter_that_leaves_takes_its_limit_along(action):
    """Nothing happens to the others, and no timer is left."""
    run, held, loop = Order(), Held(), virtual_loop()
    subject = batcher(run, ThreadExecutor(1, executor=held), default_queue_policy=policy(action))
    await start(subject, feed(0))
    leaves, stays = await start(subject, feed(1), feed(2))
    leaves.cancel()
    await asyncio.sleep(0)
    await let_go(held)
    await let_go(held)

    assert stays.result()[0].item() == 4
    assert run.runs == [[0], [2]]
    assert loop.armed == []


@pytest.mark.parametrize("action", ["REJECT", "DELAY"])
@virtual_time
async def test_a_waiter_that_leaves_as_its_limit_passes(action):
    """It was cancelled, has not awoken, and its timer fires: all in one turn of the loop."""
    run, held, loop = Order(), Held(), virtual_loop()
    subject = batcher(run, ThreadExecutor(1, executor=held), default_queue_policy=policy(action))
    await start(subject, feed(0))
    leaving: list[asyncio.Task[object]] = []
    wrong: list[object] = []
    loop.set_exception_handler(lambda _, context: wrong.append(context))
    loop.call_at(1000.010, lambda: leaving[0].cancel("left"))
    leaving += await start(subject, feed(1))

    await asyncio.wait(leaving)
    await let_go(held)

    assert leaving[0].cancelled()
    assert wrong == []
    assert run.runs == [[0]]
    assert loop.armed == []
    assert repr(subject) == "<Batcher digits 0 queued, 0 running>"


@virtual_time
async def test_each_priority_has_a_queue_of_its_own_length():
    """Full is full for one level: a flood of low priority keeps nobody out who has a higher one."""
    held = Held()
    subject = batcher(
        Order(),
        ThreadExecutor(1, executor=held),
        max_queue_size=2,
        priority_levels=2,
        default_priority_level=2,
        priority_queue_policy={2: policy(timeout_us=0, most=1)},
    )
    await start(subject, feed(0))
    waiting = await start(subject, feed(1))

    (refused,) = await start(subject, feed(2))
    high = await start(subject, feed(3), feed(4), priority=1)
    (too_many,) = await start(subject, feed(5), priority=1)

    assert refused.exception().fault is Fault.OVERLOADED
    assert refused.exception().message.startswith("Exceeds maximum queue size: 1 requests")
    assert too_many.exception().message.startswith("Exceeds maximum queue size: 2 requests")
    await let_go(held)
    await let_go(held)
    assert all(task.done() for task in (*waiting, *high))


@virtual_time
async def test_one_instance_runs_one_batch_at_a_time():
    """Whatever threads are free; another model has them meanwhile."""
    run, other_run, held = Order(), Order(), Held()
    workers = ThreadExecutor(4, executor=held)
    subject = batcher(run, workers, instances=1, max_batch_size=1)
    other = batcher(other_run, workers)

    tasks = await start(subject, feed(1), feed(2), feed(3))
    await start(other, feed(9))

    assert repr(workers) == "<ThreadExecutor 2/4 busy, 0 waiting>"
    for _ in range(4):
        await let_go(held)
    assert run.runs == [[1], [2], [3]]
    assert other_run.runs == [[9]]
    assert [task.result()[0].item() for task in tasks] == [2, 4, 6]


@virtual_time
async def test_requests_that_run_alone_may_have_many_rows():
    """Without dynamic batching each has a run of its own, and all of its rows."""
    run, held = Doubler(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held), batchable=False, preferred_batch_size=(4,))

    tasks = await start(subject, feed(1, 3), feed(2, 5), feed(3))
    for _ in range(3):
        await let_go(held)

    assert run.sizes == [3, 5, 1]
    assert [len(task.result()[0]) for task in tasks] == [3, 5, 1]


@virtual_time
async def test_answers_keep_the_order_of_the_requests():
    """A batch that ends early is answered when those before it are."""
    held = Held()
    subject = batcher(Doubler(), ThreadExecutor(3, executor=held), max_batch_size=1, preserve_ordering=True)
    first, second, third = await start(subject, feed(1), feed(-2), feed(3))
    held.runs.reverse()

    await let_go(held)
    await let_go(held)
    assert not any(task.done() for task in (first, second, third))
    await let_go(held)

    assert first.result()[0].item() == 2
    assert second.exception().message == "negative"
    assert third.result()[0].item() == 6
