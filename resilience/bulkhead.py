"""How many requests one endpoint may hold of ours."""

from __future__ import annotations

import asyncio
import math
from collections import deque

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from gateway.core.telemetry import Refused, Telemetry
from resilience.settings import BulkheadSettings


class Bulkhead:
    """Lets ``max_concurrency`` requests through at a time; ``max_pending`` more wait their turn.

    First come, first served: a request that ends hands its place to the one that has waited longest, so none
    can slip in between. A request waits no longer than half of the time that was left when it came: the other
    half is for the endpoint, or for another one. A refusal is ours and never counts against the endpoint.
    """

    def __init__(self, settings: BulkheadSettings, telemetry: Telemetry) -> None:
        self._max_running = settings.max_concurrency
        self._max_pending = settings.max_pending
        self._telemetry = telemetry
        self._running = 0
        self._pending: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Bulkhead {self._running} of {self._max_running} running, {len(self._pending)} pending>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer when there is a place.

        Raises:
            GatewayError: OVERLOADED when too many wait already, or the wait is too long; for another
                endpoint to try.
        """
        if self._running < self._max_running:
            self._running += 1
        else:
            await self._turn(request.deadline)
        try:
            return await service(request)
        finally:
            self._leave()

    async def _turn(self, deadline: float) -> None:
        if len(self._pending) >= self._max_pending:
            self._telemetry.emit(Refused("bulkhead", "full"))
            raise _crowded()
        loop = asyncio.get_running_loop()
        place = loop.create_future()
        self._pending.append(place)
        now = loop.time()
        timer = None if deadline == math.inf else loop.call_at((now + deadline) / 2, self._expire, place)
        try:
            await place
        except BaseException:
            if place in self._pending:
                self._pending.remove(place)
            elif place.done() and not place.cancelled() and place.exception() is None:
                # The place was handed over in the same turn of the loop in which its waiter left.
                self._leave()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _leave(self) -> None:
        while self._pending:
            place = self._pending.popleft()
            # A waiter that was cancelled or has expired stays in line until its task runs again.
            if not place.done():
                place.set_result(None)
                return
        self._running -= 1

    def _expire(self, place: asyncio.Future[None]) -> None:
        # A timer is cancelled only when its waiter runs again, so the place may be decided already.
        if not place.done():
            self._telemetry.emit(Refused("bulkhead", "slow"))
            place.set_exception(_crowded())


def _crowded() -> GatewayError:
    return GatewayError(
        Fault.OVERLOADED, "too many requests wait for the endpoint; try again later", retryable=True
    )


_: type[Filter] = Bulkhead
