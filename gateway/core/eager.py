"""Coroutines whose first step is taken at once, and a task for the rest where there is one.

A request is answered by an answer that is there already, or by a coroutine of one. A listener begins the
coroutine of a request where it stands, without a turn of the loop. If its first step ends it, as a cache hit
does, that was all. If it suspends, a task goes on from there.

Since Python 3.12 that is asyncio's eager task. On 3.11, which has none, the first step is taken by hand, and
``asyncio.current_task()`` is None in it: futures can be awaited there and tasks made, but ``asyncio.timeout``
cannot be entered. Whoever needs a task on every Python says so first::

    await in_task()
    async with asyncio.timeout_at(deadline): ...
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator
from contextvars import copy_context
from types import CoroutineType, coroutine
from typing import Any, TypeVar

T = TypeVar("T")

if sys.version_info >= (3, 12):

    def begin(
        call: T | Coroutine[Any, Any, T],
        loop: asyncio.AbstractEventLoop,
        done: Callable[[asyncio.Task[T]], object],
    ) -> T | asyncio.Task[T]:
        """Run ``call`` up to its first wait: return what it returns, or the task that goes on with it.

        What is no coroutine is an answer, and is returned as it is.

        ``done`` is called when that task ends. What the first step raises is raised here. All of it runs in
        one copy of the caller's context: what the first step sets, a later one may unset.
        """
        if not isinstance(call, CoroutineType):
            return call  # type: ignore[return-value] # Coroutine means one that ``async def`` makes
        task: asyncio.Task[T] = asyncio.Task(call, loop=loop, eager_start=True)
        if not task.done():
            task.add_done_callback(done)
            return task
        try:
            return task.result()
        finally:
            # An error's traceback holds this frame: it must not hold the task, which holds the error.
            del task

else:

    def begin(
        call: T | Coroutine[Any, Any, T],
        loop: asyncio.AbstractEventLoop,
        done: Callable[[asyncio.Task[T]], object],
    ) -> T | asyncio.Task[T]:
        """Run ``call`` up to its first wait, as above."""
        if not isinstance(call, CoroutineType):
            return call  # type: ignore[return-value] # Coroutine means one that ``async def`` makes
        context = copy_context()
        try:
            waits_for = context.run(call.send, None)
        except StopIteration as ended:
            value: T = ended.value
            return value
        # A coroutine made of a generator: 3.11 takes it for a task, and it costs less than one of async def.
        rest = _resume(call, waits_for)
        # Begun, so that it can pass on the cancellation of a task that has not begun.
        rest.send(None)
        task: asyncio.Task[T] = loop.create_task(rest, context=context)
        task.add_done_callback(done)
        return task

    @coroutine
    def _resume(call: Coroutine[Any, Any, T], waits_for: object) -> Generator[Any, Any, T]:
        """Go on with ``call``, whose first step yielded ``waits_for``.

        What the call waits for is handed on unchanged, and what comes of it (a result, an exception, a
        cancellation, the closing of the coroutine) goes to the call. No coroutine lets a StopIteration of its
        own escape, so that one always is the return.
        """
        try:
            try:
                yield
            except asyncio.CancelledError as error:
                # As asyncio does it: what the call waits for is cancelled first, and the call hears of that.
                if not (isinstance(waits_for, asyncio.Future) and waits_for.cancel()):
                    waits_for = call.throw(error)
            except BaseException as error:  # noqa: BLE001 - thrown on, as below
                waits_for = call.throw(error)
            while True:
                try:
                    answer = yield waits_for
                except BaseException as error:  # noqa: BLE001 - thrown on: only the call knows what it means
                    waits_for = call.throw(error)
                else:
                    waits_for = call.send(answer)
        except StopIteration as ended:
            value: T = ended.value
            return value


async def in_task() -> None:
    """Return inside a task: at once where there is one, else after a turn of the loop."""
    if asyncio.current_task() is None:
        await _turn()


@coroutine
def _turn() -> Generator[None, None, None]:
    # What a task takes for "resume me in the next turn", and what makes ``begin`` start one.
    yield
