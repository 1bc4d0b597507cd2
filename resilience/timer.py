"""A time limit that costs nothing until something waits.

``asyncio.timeout_at`` arms a timer for every call, about 5 µs. Yet a timer can only fire while the
loop runs, and the loop only runs when the call suspends; a call that is answered out of memory never
suspends. So the layer that sets a limit takes the first step of the call by hand, and arms the timer only
if that step did not end it::

    call = service(request)
    try:
        waits_for = call.send(None)
    except StopIteration as ended:
        return ended.value
    return await limits.finish(call, waits_for, deadline)

This behaves as ``async with asyncio.timeout_at(deadline): return await call``, with less in between: when
the timer fires, what the call waits for is cancelled, as ``Task.cancel`` would do, and the cancellation that
comes of it is distinguished from one from outside by the task's count of those.

* The step runs in the caller's context, and in its task if there is one (``gateway.core.eager``), as an
  awaited call does, and what it raises is raised here; no coroutine lets a StopIteration of its own escape,
  so that one always is the return.
* What the step waits for is handed to the task in the same turn of the loop, unchanged, and what the
  task answers (a result, an exception, a cancellation, the closing of the coroutine) goes to the call.
* A cancellation from outside stays one, even when the timer fires in the same turn.

They differ where a limit inside of the call passes in the same turn of the loop: the call is cancelled by its
own limit first, and by this one at its next wait. And in two contrived cases a limit that has passed is
reported as a cancellation: when the first step cancels its own task before it waits, and when the task has
swallowed a cancellation before the call began.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Generator
from heapq import heapify, heappop, heappush
from types import coroutine
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

_TICKS_PER_S: Final = 1000
"""uvloop's timers tick in milliseconds, too."""
_ROUNDING: Final = 1e-3
"""1000.011 s are a little less than 1000011 ticks: a timer that came early would be set for now, again."""
_PAST: Final = -1
_LEAST_LEFT: Final = 64


class ElapsedError(Exception):
    """The limit passed before the call ended; the call was cancelled and has let go of everything."""


class Passes(Protocol):
    """What is to happen at a time."""

    def pass_(self) -> None:
        """The time has come. It must not raise."""
        ...


class TimeLimits:
    """Sets limits, with one timer of the loop for all of them: those of the same millisecond pass together.

    A limit is hardly ever reached, so that arming and disarming must be cheap: a timer of its own takes ten
    times as long. The timer is set for the first limit and stays when that is disarmed; it then finds
    nothing and goes on to the next. All calls must be of one loop.
    """

    __slots__ = ("_due", "_limits", "_set_for", "_timer")

    def __init__(self) -> None:
        self._limits: dict[int, set[Passes]] = {}
        self._due: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._set_for: float = math.inf

    def __repr__(self) -> str:
        return f"<TimeLimits {sum(map(len, self._limits.values()))} armed, {len(self._due)} ticks>"

    @property
    def tick_count(self) -> int:
        """Ticks for which something is kept, passed limits and those of calls that ended in time included."""
        return len(self._due)

    async def finish(self, call: Coroutine[Any, Any, T], waits_for: object, deadline: float) -> T:
        """Run ``call``, whose first step yielded ``waits_for``, to its end or to ``deadline``.

        Args:
            call: a coroutine that was stepped once and has suspended.
            waits_for: what that step yielded.
            deadline: loop time in seconds.

        Raises:
            ElapsedError: the deadline came first.
        """
        limit = Limit(waits_for)
        tick = self.arm(limit, deadline)
        try:
            return await resume(call, limit)
        except asyncio.CancelledError as error:
            if limit.has_passed and not is_cancelled():
                raise ElapsedError from error
            raise
        except TimeoutError as error:
            if limit.has_passed:
                raise ElapsedError from error
            raise
        finally:
            self.disarm(limit, tick)

    def arm(self, limit: Passes, deadline: float) -> int:
        """Let ``limit`` pass at ``deadline``; return the tick at which it does, which ``disarm`` needs."""
        loop = asyncio.get_running_loop()
        if deadline <= loop.time():
            # As asyncio.timeout_at: what is over already need not wait for a timer.
            loop.call_soon(limit.pass_)
            return _PAST
        tick = math.ceil(deadline * _TICKS_PER_S)
        limits = self._limits.get(tick)
        if limits is None:
            limits = self._limits[tick] = set()
            heappush(self._due, tick)
            if tick < self._set_for:
                self._set(loop)
        limits.add(limit)
        return tick

    def disarm(self, limit: Passes, tick: int) -> None:
        """Let it not pass, if it has not."""
        limits = self._limits.get(tick)
        if limits is not None:
            limits.discard(limit)
            if not limits:
                del self._limits[tick]
                if len(self._due) > 2 * len(self._limits) + _LEAST_LEFT:
                    # Hardly one of these ticks comes while something is left of it.
                    self._due = list(self._limits)
                    heapify(self._due)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time() * _TICKS_PER_S + _ROUNDING
        while self._due and (self._due[0] <= now or self._due[0] not in self._limits):
            for limit in self._limits.pop(heappop(self._due), ()):
                limit.pass_()
        self._set(loop)

    def _set(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._due:
            self._set_for = self._due[0]
            self._timer = loop.call_at(self._set_for / _TICKS_PER_S, self._ring, loop)
        else:
            self._set_for, self._timer = math.inf, None


def is_cancelled() -> bool:
    """Whether this task was cancelled from outside."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Limit:
    """What the call waits for, and whether the limit has passed meanwhile.

    ``must_cancel``: what it waited for had come already, so that the call is cancelled where it goes on.
    """

    __slots__ = ("has_passed", "must_cancel", "waits_for")

    def __init__(self, waits_for: Any) -> None:
        self.waits_for = waits_for
        self.has_passed = self.must_cancel = False

    def pass_(self) -> None:
        """Cancel what the call waits for."""
        self.has_passed = True
        # None is a turn of the loop: nothing that could be cancelled.
        self.must_cancel = self.waits_for is None or not self.waits_for.cancel()


@coroutine
def resume(call: Coroutine[Any, Any, T], limit: Limit) -> Generator[Any, Any, T]:
    """Go on with ``call``, as ``eager._resume`` does, and cancel it once when the limit has passed."""
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
                if not is_cancelled():
                    limit.pass_()
    except StopIteration as ended:
        value: T = ended.value
        return value
