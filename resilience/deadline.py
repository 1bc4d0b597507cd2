"""The time by which a request must be answered."""

from __future__ import annotations

import math

from msgspec.structs import replace

from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.service import FastPath, Filter, FindPath, PassesFastPath, Pending, Service
from resilience.timer import ElapsedError, TimeLimits


class Deadline:
    """Gives every request a deadline, which also ends what the layers below do for it.

    A request that names none gets ``timeout_s``. One that does is held to it, and to ``max_timeout_s``
    (``timeout_s`` unless given). The fault is the same whether the deadline had passed on arrival or
    passes during the work, and it never counts against an endpoint: the caller chose the time. A
    caller who leaves is not a deadline; the cancellation passes through as it is.
    """

    def __init__(self, timeout_s: float, clock: Clock, *, max_timeout_s: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._max_timeout_s = timeout_s if max_timeout_s is None else max_timeout_s
        self._clock = clock
        self._limits = TimeLimits()

    def __repr__(self) -> str:
        return f"<Deadline {self._timeout_s:g} s, at most {self._max_timeout_s:g} s>"

    def __call__(self, request: Request, service: Service) -> Response | Pending:
        """Answer within the deadline.

        Raises:
            GatewayError: DEADLINE.
        """
        now = self._clock.now()
        if request.deadline <= now:
            raise GatewayError(Fault.DEADLINE, "the deadline had passed when the request arrived")

        allowed = self._timeout_s if request.deadline == math.inf else self._max_timeout_s
        if request.deadline > now + allowed:
            request = replace(request, deadline=now + allowed)
        answered = service(request)
        return answered if isinstance(answered, Response) else self._wait(answered, request.deadline)

    def fast_path(self, like: Request, rest: FindPath) -> FastPath | None:
        """Return the path of the rest: there is time for what takes none."""
        return rest(like)

    async def _wait(self, pending: Pending, deadline: float) -> Response:
        try:
            waits_for = pending.send(None)
        except StopIteration as ended:
            response: Response = ended.value
            return response

        try:
            return await self._limits.finish(pending, waits_for, deadline)
        except ElapsedError as error:
            raise GatewayError(
                Fault.DEADLINE, "no answer before the deadline; allow the request more time"
            ) from error


_: tuple[type[Filter], type[PassesFastPath]] = (Deadline, Deadline)
