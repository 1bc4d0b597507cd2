"""Threads lent in the order of asking, and what becomes of runs that do not end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge_models.executors import (
    GRACE_S,
    LEAVING_GRACE_S,
    SLOW_S,
    SWEEP_S,
    LoopExecutor,
    RunLimit,
    Slot,
    StuckRuns,
    ThreadExecutor,
)
from edge_models.loop_guard import LoopGuard
from gateway.core.errors import Fault, GatewayError
from tests.edge_models.executors import Held
from tests.fakes.virtual_time import virtual_time


class Model:
    """The executor of one model, the slots that it has got, and how often its runs were stopped."""

    def __init__(self, executor: ThreadExecutor) -> None:
        self.stuck = StuckRuns()
        self.executor = executor.for_model(self.stuck)
        self.slots: list[Slot] = []
        self.stops = 0
        self.wanted = True

    def stop(self) -> None:
        self.stops += 1

    def acquire(self) -> None:
        self.executor.acquire(self.slots.append)

    def run(self, **limit) -> asyncio.Future[int]:
        """Run something on the latest slot, and give that back when it is done."""
        slot = self.slots[-1]
        answer = slot.run(lambda: 7, RunLimit(self.stop, lambda: self.wanted, **limit))
        answer.add_done_callback(lambda _: slot.release())
        return answer


async def test_work_runs_in_a_thread_of_its_own():
    """The loop's thread stays free."""
    workers = ThreadExecutor(1)
    model = Model(workers)
    model.acquire()

    name = await model.slots[0].run(lambda: threading.current_thread().name)

    assert name.startswith("edgeway-model")
    workers.close()


async def test_who_asks_first_begins_first():
    """With all threads lent, those who ask wait in line; a release starts exactly one."""
    workers, began = ThreadExecutor(1), []
    models = [workers.for_model(StuckRuns()) for _ in range(3)]
    for model, name in zip(models, ("first", "second", "third"), strict=True):
        model.acquire(lambda slot, name=name: began.append((name, slot)))

    assert [name for name, _ in began] == ["first"]
    assert repr(workers) == "<ThreadExecutor 1/1 busy, 2 waiting>"

    began[0][1].release()
    assert [name for name, _ in began] == ["first", "second"]

    began[1][1].release()
    began[2][1].release()
    assert [name for name, _ in began] == ["first", "second", "third"]
    assert repr(workers) == "<ThreadExecutor 0/1 busy, 0 waiting>"
    workers.close()


@virtual_time
async def test_a_slow_run_costs_the_others_nothing():
    """Its place among the shared threads is another's; its model goes on with a thread of its own."""
    held = Held()
    workers = ThreadExecutor(1, executor=held)
    slow, other = Model(workers), Model(workers)
    slow.acquire()
    answer = slow.run()
    slow.acquire()
    other.acquire()
    assert not other.slots

    await asyncio.sleep(SLOW_S + SWEEP_S)

    assert len(other.slots) == 1
    assert len(slow.slots) == 1
    assert "1 apart" in repr(workers)
    held.let_go()
    assert await answer == 7
    assert len(slow.slots) == 2
    assert slow.stops == 0
    # The next begins apart, with the shared thread taken, and as soon as it is quick again shares, too.
    answer = slow.run()
    held.let_go()
    await answer
    slow.acquire()
    assert len(slow.slots) == 2
    other.slots[0].release()
    assert len(slow.slots) == 3
    workers.close()


@virtual_time
async def test_a_slow_model_has_as_many_threads_of_its_own_as_all_share():
    """No more, whatever waits."""
    held = Held()
    workers = ThreadExecutor(2, executor=held)
    slow = Model(workers)
    for _ in range(2):
        slow.acquire()
        slow.run()
    await asyncio.sleep(SLOW_S + SWEEP_S)

    for _ in range(3):
        slow.acquire()

    assert len(slow.slots) == 2
    assert len(held.runs) == 2
    held.let_go()
    await asyncio.sleep(0.01)
    assert len(slow.slots) == 3
    workers.close()


@virtual_time
@pytest.mark.parametrize("why", ["deadline", "timeout", "nobody waits"])
async def test_a_run_is_stopped_once(why):
    """At its requests' deadline, at its own end, or as soon as nobody waits; what it raises then is answered."""
    held, loop = Held(), asyncio.get_running_loop()
    workers = ThreadExecutor(1, executor=held)
    model = Model(workers)
    model.acquire()
    limits = {"deadline": {"deadline": loop.time() + 2}, "timeout": {"timeout_s": 2}, "nobody waits": {}}
    answer = model.run(**limits[why])

    await asyncio.sleep(1.9)
    assert model.stops == 0
    model.wanted = why != "nobody waits"
    await asyncio.sleep(1)
    assert model.stops == 1

    held.let_go()
    assert await answer == 7
    assert model.stuck.count == 0
    workers.close()


@virtual_time
async def test_a_run_that_does_not_stop_is_given_up():
    """It is answered, its model is known to be stuck until it ends after all, and others never notice."""
    held = Held()
    workers = ThreadExecutor(1, executor=held)
    model, other = Model(workers), Model(workers)
    model.acquire()
    answer = model.run(timeout_s=2)

    await asyncio.sleep(2 + GRACE_S - SWEEP_S)
    assert not answer.done()
    with pytest.raises(GatewayError, match="did not end") as refused:
        await answer

    assert refused.value.fault is Fault.UNAVAILABLE
    assert not refused.value.counts
    assert (model.stuck.count, workers.given_up) == (1, 1)
    assert "model 'm' is not available" in model.stuck.error("m").message
    assert repr(model.stuck) == "<StuckRuns 1>"
    other.acquire()
    assert len(other.slots) == 1
    held.let_go()
    await asyncio.sleep(0.01)
    assert (model.stuck.count, workers.given_up) == (0, 0)
    workers.close()


@virtual_time
async def test_a_process_that_leaves_gives_up_sooner():
    """Every run is stopped, those that begin after that as well."""
    workers = ThreadExecutor(1, executor=Held())
    model = Model(workers)
    for began in ("before", "after"):
        model.acquire()
        answer = model.run()
        if began == "before":
            workers.end_runs()
            assert model.stops == 1
        with pytest.raises(GatewayError):
            async with asyncio.timeout(LEAVING_GRACE_S + 3 * SWEEP_S):
                await answer
    assert model.stops == 2
    workers.close()


async def test_a_turn_of_the_loop_comes_when_all_has_been_seen_to():
    """Who asks begins after everything else of this turn, and works at once, in the loop's thread."""
    turns, began = LoopExecutor().for_model(StuckRuns()), []
    turns.acquire(lambda _: began.append("turn"))
    began.append("this turn")

    await asyncio.sleep(0)

    assert began == ["this turn", "turn"]
    done = turns.run(threading.current_thread)
    assert done.result() is threading.main_thread()
    assert repr(turns) == "<LoopExecutor>"


async def test_work_on_the_loop_that_fails():
    """Its failure is handed to whoever waits, as from a thread."""
    done = LoopExecutor().run(lambda: 1 // 0)

    with pytest.raises(ZeroDivisionError):
        done.result()


async def test_work_on_the_loop_that_takes_long():
    """It is stopped, and whoever had it run there is told."""
    guard, stop, stopped = LoopGuard(), threading.Event(), []
    executor = LoopExecutor(guard, stopped=lambda: stopped.append(True))

    assert executor.run(lambda: stop.wait(30), RunLimit(stop.set)).result()
    assert stopped == [True]
    assert executor.run(lambda: 1, RunLimit(stop.clear)).result() == 1
    assert stopped == [True]
    guard.close()
