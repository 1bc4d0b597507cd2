"""A coroutine that is stepped by hand finds itself in a task when it asks for one."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.core.stepping import in_task


async def limited() -> str:
    await in_task()
    async with asyncio.timeout(1):
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
