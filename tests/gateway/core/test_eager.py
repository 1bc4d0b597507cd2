"""A coroutine that is stepped by hand finds itself in a task when it asks for one."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from gateway.core.eager import begin, in_task
from tests.fakes.loops import both_loops

WORD: ContextVar[str] = ContextVar("WORD", default="none")


async def limited() -> str:
    await in_task()
    async with asyncio.timeout(30):
        await asyncio.sleep(0)
    return "done"


async def test_inside_of_a_task_it_costs_no_turn() -> None:
    """Where there is a task already nothing is waited for."""
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "turn")

    await in_task()

    assert turns == []


async def test_stepped_by_hand_it_suspends_once_and_goes_on_in_a_task() -> None:
    """The first step yields None; the task that goes on from there can arm timers."""
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    call = limited()

    def step() -> None:
        assert asyncio.current_task() is None
        assert call.send(None) is None
        task = asyncio.create_task(call)
        task.add_done_callback(lambda task: outcome.set_result(task.result()))

    asyncio.get_running_loop().call_soon(step)

    assert await outcome == "done"


class Done:
    """Keeps the tasks that have ended, and waits for the next."""

    def __init__(self) -> None:
        self.tasks: asyncio.Queue[asyncio.Task[Any]] = asyncio.Queue()

    def __call__(self, task: asyncio.Task[Any]) -> None:
        self.tasks.put_nowait(task)


def begun(call: Any, done: Done) -> Any:
    return begin(call, asyncio.get_running_loop(), done)


@both_loops
async def test_what_does_not_wait_is_answered_at_once():
    """An answer is handed back as it is, a coroutine's result or error where it was begun; no task is told of."""

    async def fails(error: BaseException) -> None:
        raise error

    async def answers() -> str:
        return "here"

    done = Done()
    assert begun("there", done) == "there"
    assert begun(answers(), done) == "here"
    for error in (ValueError("no"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            begun(fails(error), done)
    await asyncio.sleep(0)
    assert done.tasks.empty()
    assert len(asyncio.all_tasks()) == 1


@both_loops
async def test_what_waits_goes_on_in_a_task():
    """With what its first step set; results, errors, cancellations and the closing of it come where they belong."""
    left: list[str] = []

    async def waits(future: asyncio.Future[str]) -> str:
        token = WORD.set("set in the first step")
        try:
            await asyncio.sleep(0)
            word = await future
        except asyncio.CancelledError:
            left.append("cancelled")
            raise
        finally:
            left.append(WORD.get())
            WORD.reset(token)
        return word

    done, loop = Done(), asyncio.get_running_loop()
    futures = [loop.create_future() for _ in range(3)]
    tasks = [begun(waits(future), done) for future in futures]
    assert all(isinstance(task, asyncio.Task) for task in tasks)
    assert WORD.get() == "none"
    futures[0].set_result("here")
    futures[1].set_exception(ValueError("no"))
    await asyncio.sleep(0)
    tasks[2].cancel()
    ended = [await done.tasks.get() for _ in range(3)]

    assert set(ended) == set(tasks)
    assert tasks[0].result() == "here"
    assert isinstance(tasks[1].exception(), ValueError)
    assert tasks[2].cancelled()
    assert sorted(left) == ["cancelled", *["set in the first step"] * 3]


@both_loops
async def test_timeouts_can_be_entered_where_a_task_was_asked_for():
    """In the first step, which runs outside of any task of the caller's."""
    done, loop = Done(), asyncio.get_running_loop()
    loop.call_soon(lambda: begun(limited(), done))

    assert (await done.tasks.get()).result() == "done"


@both_loops
async def test_a_task_that_is_cancelled_before_it_goes_on_tells_the_call():
    """In the turn in which it was begun, too: the call must not be left where it waits, with what it holds."""
    seen: list[str] = []

    async def waits(name: str, future: asyncio.Future[None] | None) -> None:
        try:
            await (future if future is not None else asyncio.sleep(0))
        except asyncio.CancelledError:
            seen.append(name)
            raise

    done, future = Done(), asyncio.get_running_loop().create_future()
    for name, what in (("a future", future), ("a turn", None)):
        begun(waits(name, what), done).cancel()
        ended = await done.tasks.get()
        assert ended.cancelled()

    assert seen == ["a future", "a turn"]
    assert future.cancelled()
