"""Requests of several scopes before one model: who rides with whom, who waits for whom, who is refused."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from edge_models.batching import Batcher
from edge_models.executors import Executors, LoopExecutor, ThreadExecutor
from edge_models.settings import BatchingSettings, QueuePolicy
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.telemetry import BatchRan
from tests.edge_models.executors import Held, Instant
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time


class Riders:
    """A model that notes who is in each of its runs."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []

    def __call__(self, feed):
        self.runs.append([int(value) for value in feed["x"].ravel()])
        return [feed["x"]]


def batcher(run: Riders, workers: Executors, telemetry=None, instances: int = 64, **settings: Any) -> Batcher:
    return Batcher(
        "digits",
        run,
        workers,
        settings=BatchingSettings(**settings),
        clock=LoopClock(),
        telemetry=telemetry or RecordingTelemetry(),
        instances=instances,
    )


async def send(subject: Batcher, *values: int, priority: int = 0) -> list[asyncio.Task[Any]]:
    """Send each value, in the name of its hundreds: 1 and 7 are of one scope, 101 is of another."""
    tasks = [
        asyncio.create_task(subject({"x": np.full((1, 1), value)}, 1, np.inf, priority, value // 100))
        for value in values
    ]
    await asyncio.sleep(0)
    return tasks


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    """What each got: its value, or the fault."""
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [each.fault if isinstance(each, GatewayError) else each[0].item() for each in found]


async def drain(held: Held) -> None:
    while held.runs:
        held.let_go()
        for _ in range(3):
            await asyncio.sleep(0)


@virtual_time
async def test_scopes_never_ride_together():
    """What piled up is one batch for each, and each gets its own answers."""
    run, held = Riders(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held))

    tasks = await send(subject, 0, 1, 101, 2, 102, 201)
    await drain(held)

    assert run.runs == [[0], [1, 2], [101, 102], [201]]
    assert await outcomes(tasks) == [0, 1, 101, 2, 102, 201]


async def test_scopes_never_ride_together_on_the_loop():
    """What came in one turn of the loop is one batch for each scope, too."""
    run = Riders()
    subject = batcher(run, LoopExecutor())

    assert await outcomes(await send(subject, 0, 101, 1, 102)) == [0, 101, 1, 102]
    assert run.runs == [[0, 1], [101, 102]]


@virtual_time
async def test_company_of_another_scope_ends_nobodys_delay():
    """Nor does it make a preferred size, or begin the delay of whoever comes later."""
    run, telemetry = Riders(), RecordingTelemetry()
    workers = ThreadExecutor(1, executor=Instant())
    subject = batcher(run, workers, telemetry, preferred_batch_size=(2,), max_queue_delay_microseconds=10_000)
    loop = asyncio.get_running_loop()

    first = await send(subject, 1)
    await asyncio.sleep(0.004)
    second = await send(subject, 101)
    assert run.runs == []
    await asyncio.gather(*first)
    assert (run.runs, loop.time()) == ([[1]], pytest.approx(1000.010))
    await asyncio.gather(*second)
    assert (run.runs, loop.time()) == ([[1], [101]], pytest.approx(1000.014))

    await asyncio.gather(*await send(subject, 201, 1, 202))
    assert run.runs[2:] == [[201, 202], [1]]
    assert [event.queue_s for event in telemetry.of(BatchRan)] == pytest.approx([0.01, 0.01, 0, 0.01])


@pytest.mark.parametrize("instances", [1, 2])
@virtual_time
async def test_a_flood_delays_another_by_one_batch_a_turn(instances):
    """Whatever one scope has waiting, a batch of another runs after each of its batches."""
    run, held = Riders(), Held()
    workers = ThreadExecutor(instances, executor=held)
    subject = batcher(run, workers, instances=instances, max_batch_size=4)

    tasks = await send(subject, *range(40))
    tasks += await send(subject, *range(100, 112))
    await drain(held)
    await outcomes(tasks)

    turns = [riders[0] // 100 for riders in run.runs]
    assert turns[instances:] == [0, 1] * 3 + [0] * (len(turns) - instances - 6)
    assert all(len({value // 100 for value in riders}) == 1 for riders in run.runs)


@virtual_time
async def test_batches_that_do_not_fit_together_gain_no_turns():
    """A scope whose requests are all of different shapes has one run a turn like any other."""
    shapes: list[tuple[int, ...]] = []

    def run(feed):
        shapes.append(feed["x"].shape)
        return [feed["x"]]

    held = Held()
    subject = batcher(run, ThreadExecutor(1, executor=held))  # type: ignore[arg-type]
    tasks = [asyncio.create_task(subject({"x": np.zeros((1, n))}, 1, scope="odd")) for n in range(1, 6)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(subject({"x": np.zeros((64, 9))}, 64, scope="b")) for _ in range(3)]
    await asyncio.sleep(0)
    await drain(held)
    await asyncio.gather(*tasks)

    assert [width for _, width in shapes] == [1, 2, 9, 3, 9, 4, 9, 5]


@virtual_time
async def test_a_priority_is_strict_within_a_scope_only():
    """Nobody overtakes another tenant by it."""
    run, held = Riders(), Held()
    subject = batcher(
        run, ThreadExecutor(1, executor=held), max_batch_size=1, priority_levels=2, default_priority_level=2
    )

    await send(subject, 0)
    await send(subject, 101, 102, priority=2)
    await send(subject, 1, priority=2)
    await send(subject, 2, 3, priority=1)
    await drain(held)

    assert run.runs == [[0], [101], [2], [102], [3], [1]]


@virtual_time
async def test_a_full_queue_makes_room_for_whoever_has_fewer():
    """The latest of the scope that has most is refused instead, until all have as many."""
    run, held = Riders(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held), max_queue_size=6)

    flood = await send(subject, *range(8))
    others = await send(subject, 101, 102, 103, 104)
    more = await send(subject, 201, 8)
    await drain(held)

    full = Fault.OVERLOADED
    assert await outcomes(flood) == [0, 1, 2, full, full, full, full, full]
    assert await outcomes(others) == [101, 102, 103, full]
    assert await outcomes(more) == [201, full]
    assert run.runs == [[0], [1, 2], [101, 102, 103], [201]]


@virtual_time
async def test_one_scope_may_fill_the_queue():
    """Alone it has all of it, and is told when its own batches will have run."""
    held = Held()
    subject = batcher(Riders(), ThreadExecutor(1, executor=held), max_queue_size=3)

    tasks = await send(subject, 0, 1, 2, 3)
    with pytest.raises(GatewayError, match="Exceeds maximum queue size: 3 requests wait") as caught:
        await subject({"x": np.zeros((1, 1))}, 1, scope=0)
    await drain(held)

    assert caught.value.retry_after_s == 0.1
    assert await outcomes(tasks) == [0, 1, 2, 3]


@virtual_time
async def test_the_limit_of_a_priority_is_shared_by_scopes():
    """A level that has room takes a request whatever others have."""
    held = Held()
    settings = BatchingSettings(
        priority_levels=2, default_priority_level=2, priority_queue_policy={1: QueuePolicy(max_queue_size=2)}
    )
    subject = Batcher(
        "digits",
        Riders(),
        ThreadExecutor(1, executor=held),
        settings=settings,
        clock=LoopClock(),
        telemetry=RecordingTelemetry(),
    )

    tasks = await send(subject, 0)
    tasks += await send(subject, 1, 2, 101, priority=1)
    tasks += await send(subject, 3, 102, priority=2)
    await drain(held)

    assert await outcomes(tasks) == [0, 1, Fault.OVERLOADED, 101, 3, 102]


@virtual_time
async def test_when_to_come_again_tells_nothing_of_others():
    """It is by what the scope has waiting, and by the pace of its own batches."""

    class Slow(Riders):
        def __call__(self, feed):
            time.sleep(0.09 if feed["x"].item() >= 100 else 0)  # the pace is that of the real run
            return super().__call__(feed)

    held = Held()
    subject = batcher(Slow(), ThreadExecutor(1, executor=held), max_queue_size=6, max_batch_size=1)
    paced = await send(subject, 0, 100)
    await drain(held)
    waiting = await send(subject, 0, *range(3), *range(100, 103))

    told = {}
    for scope in (0, 1):
        with pytest.raises(GatewayError) as caught:
            await subject({"x": np.zeros((1, 1))}, 1, scope=scope)
        told[scope] = caught.value.retry_after_s or 0
    for task in waiting:
        task.cancel()
    await drain(held)

    assert await outcomes(paced) == [0, 100]
    assert told[0] < 0.27 <= told[1]


@virtual_time
async def test_the_order_of_answers_is_kept_within_a_scope():
    """No answer waits for a run of another scope."""
    held = Held()
    subject = batcher(Riders(), ThreadExecutor(3, executor=held), max_batch_size=1, preserve_ordering=True)
    slow, *others = await send(subject, 0, 101, 1)

    held.runs.append(held.runs.pop(0))
    for _ in range(2):
        held.let_go()
        for _ in range(3):
            await asyncio.sleep(0)

    assert [task.done() for task in (slow, *others)] == [False, True, False]
    await drain(held)
    assert await outcomes([slow, *others]) == [0, 101, 1]


@virtual_time
async def test_whoever_leaves_takes_nothing_of_others():
    """Nor the turn of its scope."""
    run, held = Riders(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held))
    tasks = await send(subject, 0, 1, 101, 201, 102)

    tasks[1].cancel()
    tasks[3].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert repr(subject) == "<Batcher digits 2 queued, 1 running>"
    await drain(held)

    assert run.runs == [[0], [101, 102]]


@virtual_time
async def test_a_deadline_is_looked_at_when_the_turn_comes():
    """A request that is late is dropped from its queue; if nothing is left, the next scope has the turn."""
    run, held = Riders(), Held()
    subject = batcher(run, ThreadExecutor(1, executor=held))
    tasks = await send(subject, 0)
    tasks.append(asyncio.create_task(subject({"x": np.full((1, 1), 101)}, 1, 1000.5, 0, "late")))
    await asyncio.sleep(0)
    tasks += await send(subject, 201)

    await asyncio.sleep(1)
    await drain(held)

    assert run.runs == [[0], [201]]
    assert await outcomes(tasks) == [0, Fault.DEADLINE, 201]


@virtual_time
async def test_closing_runs_what_every_scope_has_waiting():
    """Without waiting for company."""
    run = Riders()
    subject = batcher(run, ThreadExecutor(1, executor=Instant()), max_queue_delay_microseconds=10_000_000)
    tasks = await send(subject, 1, 101, 2)

    await subject.close()

    assert await outcomes(tasks) == [1, 101, 2]
    assert run.runs == [[1, 2], [101]]
    assert asyncio.get_running_loop().time() == 1000.0
