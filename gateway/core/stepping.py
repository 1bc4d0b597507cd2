"""Coroutines whose first step is taken by hand, without a task: what they may and may not do.

A listener steps the coroutine of a request once by itself. If that ends it, as a cache hit does, no task
was made. If it suspends, the listener makes a task that goes on from there. So in its first step a
coroutine may run where ``asyncio.current_task()`` is None. Futures can be awaited there and tasks made;
``asyncio.timeout`` cannot be entered. Whoever needs a task says so first::

    await in_task()
    async with asyncio.timeout_at(deadline): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from types import coroutine


async def in_task() -> None:
    """Return inside a task: at once where there is one, else after a turn of the loop."""
    if asyncio.current_task() is None:
        await _turn()


@coroutine
def _turn() -> Generator[None, None, None]:
    # What a task takes for "resume me in the next turn", and what makes the listener start one.
    yield
