"""Early refreshes: requests that the cache makes by itself, shortly before an answer expires.

Nobody waits for them, so their failures harm nobody: until its expiry the old answer is served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from functools import partial

from msgspec.structs import replace

from cache.single_flight import flight_key
from gateway.core.clock import Clock
from gateway.core.errors import GatewayError
from gateway.core.request import Request
from gateway.core.service import Service


class EarlyRefreshes:
    """Those under way in one stack, ``most`` of them at once, each within ``timeout_s``."""

    def __init__(self, clock: Clock, *, timeout_s: float = 15.0, most: int = 64) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._most = most
        self._running: dict[Hashable, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<EarlyRefreshes {len(self._running)} of {self._most} running>"

    @property
    def num_running(self) -> int:
        """Return how many are under way."""
        return len(self._running)

    def start(self, request: Request, service: Service) -> None:
        """Let ``service`` answer ``request`` anew, unless an equal one or too many others are under way."""
        key = flight_key(request)
        if key in self._running or len(self._running) >= self._most:
            return
        request = replace(request, deadline=self._clock.now() + self._timeout_s)
        task = self._running[key] = asyncio.create_task(_refresh(request, service))
        task.add_done_callback(partial(self._finish, key))

    async def aclose(self) -> None:
        """Cancel all and wait until they have ended."""
        tasks = set(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _finish(self, key: Hashable, task: asyncio.Task[None]) -> None:
        del self._running[key]
        # Reading the exception marks it as seen.
        error = None if task.cancelled() else task.exception()
        if error is not None:
            context = {"message": "an early refresh failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)


async def _refresh(request: Request, service: Service) -> None:
    try:
        _ = await service(request)
    except GatewayError:
        # Whatever it is, the next hits try again, and a request after the expiry meets it by itself.
        return
