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

This behaves as ``async with asyncio.timeout_at(deadline): return await call``:

* The step runs in the caller's context, and in its task if there is one (``gateway.core.stepping``), as an
  awaited call does, and what it raises is raised here; no coroutine lets a StopIteration of its own escape,
  so that one always is the return.
* What the step waits for is handed to the task in the same turn of the loop, unchanged, and what the
  task answers (a result, an exception, a cancellation, the closing of the coroutine) goes to the call.
* From the first wait on, it *is* ``asyncio.timeout_at``: a cancellation from outside stays one, even
  when the timer fires in the same turn.

They differ in one contrived case: a first step that cancels its own task before it waits. The
cancellation arrives, as it must; but if the limit has passed as well, it is reported as ElapsedError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from gateway.core.stepping import in_task, resume

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
    await in_task()
    scope = asyncio.timeout_at(deadline)
    try:
        async with scope:
            return await resume(call, waits_for)
    except TimeoutError as error:
        if scope.expired():
            raise ElapsedError from error
        raise
