"""A time limit that costs nothing until something waits.

``asyncio.timeout_at`` arms a timer for every call, about 5 µs. Yet a timer can only fire while the
loop runs, and the loop only runs when the call suspends; a call that is answered out of memory never
suspends. So whoever sets a limit takes the first step of the call by hand, and arms the timer only
if that step did not end it::

    call = service(request)
    try:
        waits_for = call.send(None)
    except StopIteration as ended:
        return ended.value
    return await finish(call, waits_for, deadline)

This behaves as ``async with asyncio.timeout_at(deadline): return await call``, with less in between: when
the timer fires, what the call waits for is cancelled, as ``Task.cancel`` would do, and the cancellation that
comes of it is told from one from outside by the task's count of those.

* The step runs in the caller's context, and in its task if there is one (``gateway.core.stepping``), as an
  awaited call does, and what it raises is raised here; no coroutine lets a StopIteration of its own escape,
  so that one always is the return.
* What the step waits for is handed to the task in the same turn of the loop, unchanged, and what the
  task answers (a result, an exception, a cancellation, the closing of the coroutine) goes to the call.
* A cancellation from outside stays one, even when the timer fires in the same turn.

They differ where a limit inside of the call passes in the same turn of the loop: the call hears of its own
limit first, and of this one at its next wait. And in two contrived cases a limit that has passed is reported
as a cancellation: when the first step cancels its own task before it waits, and when the task has swallowed
a cancellation before the call began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class ElapsedError(Exception):
    """The limit passed before the call ended; the call was cancelled and has let go of everything."""


async def finish(call: Coroutine[Any, Any, T], waits_for: object, deadline: float) -> T:
    """Run ``call``, whose first step yielded ``waits_for``, to its end or to ``deadline``.

    Args:
        call: a coroutine that was stepped once and has suspended.
        waits_for: what that step yielded.
        deadline: loop time in seconds.

    Raises:
        ElapsedError: the deadline came first.
    """
    limit = _Limit(waits_for)
    loop = asyncio.get_running_loop()
    # As asyncio.timeout_at: what is over already need not wait for a timer.
    is_late = deadline <= loop.time()
    timer = loop.call_soon(limit.pass_) if is_late else loop.call_at(deadline, limit.pass_)
    try:
        return await _resume(call, limit)
    except asyncio.CancelledError as error:
        if limit.has_passed and not _is_cancelled():
            raise ElapsedError from error
        raise
    except TimeoutError as error:
        if limit.has_passed:
            raise ElapsedError from error
        raise
    finally:
        timer.cancel()


def _is_cancelled() -> bool:
    """Whether somebody outside has cancelled this task."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class _Limit:
    """What the call waits for, and whether the limit has passed meanwhile.

    ``must_cancel``: what it waited for had come already, so that the call is cancelled where it goes on.
    """

    __slots__ = ("has_passed", "must_cancel", "waits_for")

    def __init__(self, waits_for: Any) -> None:
        self.waits_for = waits_for
        self.has_passed = self.must_cancel = False

    def pass_(self) -> None:
        self.has_passed = True
        # None is a turn of the loop: nothing that could be cancelled.
        self.must_cancel = self.waits_for is None or not self.waits_for.cancel()


@coroutine
def _resume(call: Coroutine[Any, Any, T], limit: _Limit) -> Generator[Any, Any, T]:
    """Go on with ``call``, as ``stepping.resume`` does, and cancel it once when the limit says so."""
    try:
        while True:
            error: BaseException | None = None
            answer = None
            try:
                answer = yield limit.waits_for
            except BaseException as thrown:  # noqa: BLE001 - thrown on: only the call knows what it means
                error = thrown
            if limit.must_cancel and not isinstance(error, GeneratorExit | asyncio.CancelledError):
                limit.must_cancel = False
                error = asyncio.CancelledError()
            limit.waits_for = call.send(answer) if error is None else call.throw(error)
            if limit.must_cancel:
                # Another cancellation came first, and the call has lived through it. One from outside is
                # enough for both; one of a limit inside of the call is over.
                limit.must_cancel = False
                if not _is_cancelled():
                    limit.pass_()
    except StopIteration as ended:
        value: T = ended.value
        return value
