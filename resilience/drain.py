"""Leaving without dropping what was accepted."""

from __future__ import annotations

import asyncio

from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service


class Drain:
    """Counts what is under way, so that a process can wait for it before it exits.

    The order of leaving: ``begin`` turns readiness off, and requests are still served, because load
    balancers need a moment to notice; then the listeners close; then ``finished`` waits for the rest.
    """

    def __init__(self) -> None:
        self._running = 0
        self._is_draining = False
        self._idle = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Drain {'draining' if self._is_draining else 'ready'}, {self._running} running>"

    @property
    def is_ready(self) -> bool:
        """Whether new requests are welcome."""
        return not self._is_draining

    def begin(self) -> None:
        """Turn readiness off; a second call changes nothing."""
        self._is_draining = True

    async def finished(self, timeout_s: float) -> bool:
        """Turn readiness off and wait until nothing is under way; False when ``timeout_s`` passed first."""
        self.begin()
        try:
            async with asyncio.timeout(timeout_s):
                # A request may have come in between the event and this task's turn.
                while self._running:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer, and be counted until the answer is there."""
        answered = service(request)
        return answered if isinstance(answered, Response) else self._wait(answered)

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest: what takes no time need not be counted."""
        return rest(like)

    async def _wait(self, pending: Pending) -> Response:
        self._running += 1
        try:
            return await pending
        finally:
            self._running -= 1
            if self._is_draining and not self._running:
                self._idle.set()


_: tuple[type[Filter], type[PassesFastPath]] = (Drain, Drain)
