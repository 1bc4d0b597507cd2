"""Equal requests at the same time are one request.

The first to miss starts a flight, a task of its own; those who come while it is under way wait for its
answer. Nobody owns it, so the first to leave takes nothing from the others: a flight is cancelled when
the last who waited has left. What it ends in, an answer or an error, is shared by those who waited and
kept for nobody else.

A flight runs under its first waiter's deadline, so that the layers below know when an answer is of no
more use. A request joins only if the flight has at least half of the time that the request has left;
else it starts one of its own, which those after it find. A waiter whose flight ran out of time and who
has time left tries again. So an impatient caller costs a patient one at most half of the time, and of
one key there are only as many flights at once as doublings fit between the shortest and the longest
deadline: one, when clients use one timeout.

A flight carries the request of its first waiter: its id, its trace, its tracing context, its allowed
regions and hops. So only requests that may go to the same places share one. Two gateways that ask each
other for one key would otherwise wait for each other: each forwarded request would join the flight that
waits for it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from functools import partial
from typing import Final

from gateway.core.cache_events import FlightShared
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Pending, Service
from gateway.core.telemetry import Telemetry

ALMOST_S: Final = 0.1
"""Layers below may give up this long before the deadline that they were given."""


class _Flight:
    """A call under way, and how many wait for it."""

    __slots__ = ("deadline", "task", "waiters")

    def __init__(self, task: asyncio.Task[Response], deadline: float) -> None:
        self.task = task
        self.deadline = deadline
        self.waiters = 0


class SingleFlight:
    """Makes requests with equal ``Request.key`` one; those without a key pass it by.

    One stack has one of these: requests under different policies must not share a flight.
    """

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        self._clock = clock
        self._emit = telemetry.emit
        self._flights: dict[Hashable, _Flight] = {}
        self._tasks: set[asyncio.Task[Response]] = set()

    def __repr__(self) -> str:
        return f"<SingleFlight {len(self._flights)} flights, {self.waiters} waiters>"

    @property
    def num_running(self) -> int:
        """Return how many flights others may still join."""
        return len(self._flights)

    @property
    def waiters(self) -> int:
        """Return how many requests wait for these flights."""
        return sum(flight.waiters for flight in self._flights.values())

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer from the flight of the request's key, which goes to ``service`` if none is under way.

        Raises:
            GatewayError: what the flight met; DEADLINE when it ran out of its own time; UNAVAILABLE
                when the gateway stops.
        """
        return self._share(request, service) if request.key else service(request)

    async def aclose(self) -> None:
        """Cancel every flight and wait until all have ended."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _share(self, request: Request, service: Service) -> Response:
        key = flight_key(request)
        while True:
            flight = self._flights.get(key)
            if flight is None or not self._has_time_for(flight, request):
                flight = self._start(key, request, service)
            else:
                self._emit(FlightShared(request.model))
            await self._wait(key, flight)
            if flight.task.cancelled():
                raise GatewayError(Fault.UNAVAILABLE, "the gateway is stopping: try again", retryable=True)
            # A flight that was joined had half of the time left, so each turn halves what remains.
            if not (self._ran_out_of_time(flight) and flight.deadline < request.deadline):
                return flight.task.result()

    def _has_time_for(self, flight: _Flight, request: Request) -> bool:
        now = self._clock.now()
        return 2 * (flight.deadline - now) >= request.deadline - now

    def _ran_out_of_time(self, flight: _Flight) -> bool:
        error = flight.task.exception()
        is_deadline = isinstance(error, GatewayError) and error.fault is Fault.DEADLINE
        return is_deadline and self._clock.now() >= flight.deadline - ALMOST_S

    async def _wait(self, key: Hashable, flight: _Flight) -> None:
        flight.waiters += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.waiters -= 1
            if not flight.waiters:
                self._cancel(key, flight)

    def _start(self, key: Hashable, request: Request, service: Service) -> _Flight:
        task = asyncio.create_task(_run(request, service))
        flight = self._flights[key] = _Flight(task, request.deadline)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, key, flight))
        return flight

    def _finish(self, key: Hashable, flight: _Flight, task: asyncio.Task[Response]) -> None:
        self._tasks.discard(task)
        self._forget(key, flight)
        # Reading the exception marks it as seen, also when nobody waits for it any more.
        error = None if task.cancelled() else task.exception()
        if error is not None and not flight.waiters and not isinstance(error, GatewayError):
            context = {"message": "a flight that nobody waited for failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)

    def _cancel(self, key: Hashable, flight: _Flight) -> None:
        if not flight.task.done():
            # A request that comes now must not join a flight that is about to be cancelled.
            self._forget(key, flight)
            flight.task.cancel()

    def _forget(self, key: Hashable, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


def flight_key(request: Request) -> Hashable:
    """Return what requests must have in common to share a flight: their key, and where they may go."""
    return request.key, request.hops > 0, request.regions


async def _run(request: Request, service: Service) -> Response:
    limit = asyncio.timeout_at(None if math.isinf(request.deadline) else request.deadline)
    try:
        async with limit:
            return await service(request)
    except TimeoutError:
        if not limit.expired():
            raise
        raise GatewayError(Fault.DEADLINE, "no answer before the deadline") from None


_: type[Filter] = SingleFlight
