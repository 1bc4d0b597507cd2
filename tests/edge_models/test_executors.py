"""Threads lent in the order of asking."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge_models.executors import LoopExecutor, ThreadExecutor


async def test_work_runs_in_a_thread_of_its_own():
    """The loop's thread stays free."""
    workers = ThreadExecutor(1)

    name = await workers.run(lambda: threading.current_thread().name)

    assert name.startswith("edgeway-model")
    workers.close()


async def test_who_asks_first_begins_first():
    """With all threads lent, those who ask wait in line; a release starts exactly one."""
    workers, began = ThreadExecutor(1), []
    for name in ("first", "second", "third"):
        workers.acquire(lambda name=name: began.append(name))

    assert began == ["first"]
    assert repr(workers) == "<ThreadExecutor 1/1 busy, 2 waiting>"

    workers.release()
    assert began == ["first", "second"]

    workers.release()
    workers.release()
    assert began == ["first", "second", "third"]
    assert repr(workers) == "<ThreadExecutor 0/1 busy, 0 waiting>"
    workers.close()


async def test_a_turn_of_the_loop_comes_when_all_has_been_seen_to():
    """Who asks begins after everything else of this turn, and works at once, in the loop's thread."""
    turns, began = LoopExecutor(), []
    turns.acquire(lambda: began.append("turn"))
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
