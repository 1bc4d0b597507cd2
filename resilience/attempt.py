"""The time that one attempt at one endpoint may take."""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.request import Request, Response
from gateway.core.service import Filter, Service
from resilience.timer import ElapsedError, TimeLimits

_TIMEOUT: Final = Why("timeout")


class AttemptTimeout:
    """Gives each attempt its limit or what is left of the request's time, whichever is less.

    The limit is what the request's route grants (``Request.per_try_timeout_s``) within ``most_s``, the
    endpoint's own; where the route grants nothing it is ``limit_s``.

    Both end in a DEADLINE fault, with different flags. Past the limit the endpoint was too slow: that
    counts against it, and another may do better. Past the request's own deadline it is not to blame,
    and there is no time to try again. The deadline that is passed on is the attempt's, so that the
    endpoint can stop working when its answer is no longer wanted.
    """

    def __init__(self, limit_s: float, clock: Clock, *, most_s: float = math.inf) -> None:
        self._limit_s, self._most_s = limit_s, most_s
        self._clock = clock
        self._limits = TimeLimits()

    def __repr__(self) -> str:
        return f"<AttemptTimeout {self._limit_s:g} s>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer within the limit.

        Raises:
            GatewayError: DEADLINE.
        """
        granted = request.per_try_timeout_s
        limit_s = self._limit_s if granted == math.inf else min(granted, self._most_s)
        deadline = self._clock.now() + limit_s
        is_ours = deadline < request.deadline
        if is_ours:
            request = replace(request, deadline=deadline)
        try:
            call = service(request)
            if isinstance(call, Response):
                return call
            try:
                waits_for = call.send(None)
            except StopIteration as ended:
                response: Response = ended.value
                return response
            return await self._limits.finish(call, waits_for, request.deadline)
        except ElapsedError as error:
            raise _late(is_ours=is_ours) from error
        except GatewayError as error:
            if is_ours and error.fault is Fault.DEADLINE and not error.counts:
                # The layer below took the limit that we passed on for the caller's own.
                raise _late(is_ours=True) from error
            raise


def _late(*, is_ours: bool) -> GatewayError:
    return GatewayError(
        Fault.DEADLINE,
        "the endpoint did not answer in time"
        if is_ours
        else "no answer before the deadline; allow the request more time",
        retryable=is_ours,
        counts=is_ours,
        why=_TIMEOUT if is_ours else None,
    )


_: type[Filter] = AttemptTimeout
