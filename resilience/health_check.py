"""Checking the health of an endpoint beside its requests: in bounded time, one check at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from gateway.core.clock import Chance
from gateway.core.errors import Why
from gateway.core.verdict import Verdict

Check = Callable[[], Awaitable[Verdict]]

_LEAST: Final = 0.4
_DOUBLINGS: Final = 32

_log = logging.getLogger("edgeway.breaker")


async def verdict_of(check: Check, timeout_s: float, endpoint: str) -> Verdict:
    """Return what ``check`` finds; taking longer than ``timeout_s`` is evidence, an exception is not."""
    try:
        async with asyncio.timeout(timeout_s):
            return await check()
    except TimeoutError:
        return Verdict(Why("timeout"))
    except Exception:  # noqa: BLE001 - whatever it is, it is ours; the next check may know
        _log.exception("the health of %s could not be checked", endpoint)
        return Verdict(ours=True)


def jittered_s(wait_s: float, chance: Chance) -> float:
    """Draw a wait: between ``_LEAST`` of ``wait_s`` and all of it."""
    return chance.uniform(_LEAST, 1.0) * wait_s


def doubled_s(first_s: float, times: int, longest_s: float) -> float:
    """Return ``first_s`` seconds, doubled so many ``times``, at most ``longest_s``."""
    return min(first_s * 2.0 ** min(times, _DOUBLINGS), longest_s)


class BackgroundTask:
    """At most one task at a time, and none once it is closed."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<BackgroundTask {'closed' if self._closed else 'idle' if self.is_idle else 'running'}>"

    @property
    def is_idle(self) -> bool:
        """Whether there is no task."""
        return self._task is None

    def start(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run ``run`` in a task, unless there is one, or no more may start."""
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(self._run(run))

    async def aclose(self) -> None:
        """Cancel the task and wait for its end; start no more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await run()
        finally:
            self._task = None
