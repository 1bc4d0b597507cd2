"""A second attempt beside one that is slow: the first good answer is the answer.

J. Dean, L. A. Barroso: The Tail at Scale, 2013 ("hedged requests"); gRPC: hedgingPolicy; Finagle: backup
requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.service import Filter, Service
from gateway.core.telemetry import HedgeDenied, HedgeEnded, Telemetry
from resilience.budget import RetryBudget
from resilience.hedge_budget import HedgeBudget
from resilience.latencies import Kind, Latencies
from resilience.timer import Limit, TimeLimits, is_cancelled, resume

_PUSHED_BACK_S: Final = 1.0
_LONGEST_PUSHBACK_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class HedgeSettings:
    """When a route's requests are hedged.

    ``max_attempts``: of one request, the first among them. ``delay_s``: after which a further one is sent;
    None: after ``percentile`` of what first attempts of the model take, and ``min_delay_s`` at least.
    ``budget_percent``: of the requests that are hedged at most.
    """

    max_attempts: int = 2
    percentile: float = 95.0
    delay_s: float | None = None
    min_delay_s: float = 0.001
    budget_percent: float = 5.0


class Hedge:
    """Sends a further attempt elsewhere when the first takes long, and cancels those that lose.

    What is measured is what first attempts take, our own queue in front of the endpoint included: it is what
    one more request would wait. A request is hedged only where it does no harm:

    * never a step of a sequence, which would be taken twice, and never a retry, which is a further attempt
      already;
    * where a member that it has not been sent to may take it (``has_other``), and there is time left;
    * within the budget of retries, and within its own, which requests pay in;
    * not while endpoints push back: one that is overloaded, or says when to come again, ends all hedging of
      the route for that time (gRPC: pushback).

    An attempt that fails while another is under way waits for that: no hedge may make an answer worse. When
    all have failed the failure is the first attempt's, as it would be without hedges.

    Args:
        route: whose requests these are.
        settings: when, and how many.
        latencies: what first attempts took; shared, and older than this.
        budget: of retries, shared by all that retry towards the same endpoints.
        has_other: whether the Router could send a request to a member that is not among its ``tried``.
        clock: measures.
        telemetry: gets ``HedgeEnded`` and ``HedgeDenied``.
    """

    def __init__(
        self,
        route: str,
        settings: HedgeSettings,
        *,
        latencies: Latencies,
        budget: RetryBudget,
        has_other: Callable[[Request], bool],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self.settings = settings
        self._route, self._latencies, self._retries = route, latencies, budget
        self._has_other, self._clock, self._telemetry = has_other, clock, telemetry
        self._hedges = HedgeBudget(settings.budget_percent)
        self._limits = TimeLimits()
        self._pushed_back_until = 0.0

    def __repr__(self) -> str:
        delay_s = self.settings.delay_s
        after = f"p{self.settings.percentile:g}" if delay_s is None else f"{delay_s * 1000:g} ms"
        return f"<Hedge after {after}, {self._hedges!r}>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer as the first attempt that succeeds.

        Raises:
            GatewayError: the first attempt's, when all have failed.
        """
        if request.attempt or SEQUENCE in request.parameters:
            return await service(request)
        self._hedges.enter()
        kind = (self._route, request.model, self.settings.percentile)
        delay_s = self._delay_s(kind)
        if delay_s is None or (at := self._clock.now() + delay_s) >= request.deadline:
            return await self.first(request, service, kind)
        return await _Race(self, self._limits, request, service, kind).run(at, delay_s)

    async def first(self, request: Request, service: Service, kind: Kind) -> Response:
        """Make the first attempt, and note how long it takes."""
        tick = self._clock.tick
        began = tick()
        try:
            response = await service(request)
        except GatewayError as error:
            self.failed(error)
            if error.fault is Fault.DEADLINE:
                self._broken_off(kind, began)
            raise
        except asyncio.CancelledError:
            self._broken_off(kind, began)
            raise
        ended = tick()
        self._latencies.answered(kind).add(ended - began, ended)
        return response

    def denied(self, request: Request) -> str:
        """Return why no hedge may be sent now, in one word; "": one may, and its places are taken."""
        if self._clock.now() < self._pushed_back_until:
            reason = "pushback"
        elif not self._has_other(request):
            reason = "nowhere"
        elif not self._hedges.has_one:
            reason = "percent"
        elif not self._retries.take():
            reason = "budget"
        else:
            self._hedges.take()
            return ""
        self._telemetry.emit(HedgeDenied(reason))
        return reason

    def failed(self, error: GatewayError) -> None:
        """An attempt has failed."""
        if error.fault is Fault.OVERLOADED or error.retry_after_s is not None:
            seconds = min(error.retry_after_s or _PUSHED_BACK_S, _LONGEST_PUSHBACK_S)
            self._pushed_back_until = max(self._pushed_back_until, self._clock.now() + seconds)

    def ended(self, outcome: str) -> None:
        """A hedge has ended."""
        self._retries.give_back()
        self._telemetry.emit(HedgeEnded(outcome))

    def goes_elsewhere(self, request: Request) -> bool:
        """Whether a retry of ``request`` would go where it has not been."""
        return self._has_other(request)

    def _delay_s(self, kind: Kind) -> float | None:
        settings = self.settings
        if settings.delay_s is not None:
            return settings.delay_s
        known = self._latencies.get(kind)
        measured_s = None if known is None else known.value_s
        return None if measured_s is None else max(measured_s, settings.min_delay_s)

    def _broken_off(self, kind: Kind, began: float) -> None:
        known = self._latencies.get(kind)
        if known is not None:
            now = self._clock.tick()
            known.add_at_least(now - began, now)


class _Race:
    """The attempts of one request: the first in its caller's own task, each hedge in one of its own.

    So a request that needs no hedge needs no task either. When a hedge wins, what the first attempt waits for
    is cancelled, as a time limit would do it (``resilience.timer``).
    """

    __slots__ = (
        *("_answer", "_chosen", "_context", "_delay_s", "_failed_at", "_hedge", "_is_answered", "_kind"),
        *("_limit", "_limits", "_num_sent", "_request", "_running", "_service", "_tick"),
    )

    def __init__(
        self, hedge: Hedge, limits: TimeLimits, request: Request, service: Service, kind: Kind
    ) -> None:
        self._hedge, self._limits = hedge, limits
        self._chosen: list[str] = []
        self._request = replace(request, chosen=self._chosen)
        self._service, self._kind = service, kind
        # As it is outside of the first attempt, whose span must not be the parent of the others'.
        self._context: Context = copy_context()
        self._limit: Limit
        self._answer: Response | None = None
        self._is_answered = False
        self._running: set[asyncio.Task[Response]] = set()
        self._failed_at: tuple[str, ...] = ()
        self._num_sent = 1

    async def run(self, at: float, delay_s: float) -> Response:
        """Answer as the first attempt that succeeds.

        The second is sent ``at`` a time of the loop, and each further one ``delay_s`` after the one before.
        """
        call = self._hedge.first(self._request, self._service, self._kind)
        try:
            waits_for = call.send(None)
        except StopIteration as ended:
            at_once: Response = ended.value
            return at_once
        self._limit, self._delay_s = Limit(waits_for), delay_s
        self._tick = self._limits.arm(self, at)
        try:
            response = await resume(call, self._limit)
        except asyncio.CancelledError:
            if self._answer is None or is_cancelled():
                raise
            return self._answer
        except GatewayError as error:
            return await self._others(error)
        else:
            self._is_answered = True
            return response
        finally:
            self._limits.disarm(self, self._tick)
            for each in self._running:
                each.cancel()

    def pass_(self) -> None:
        """The attempts so far have taken long: send another."""
        request = replace(self._request, attempt=self._num_sent, tried=self._tried)
        if not self._chosen or self._hedge.denied(request):
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(_answered(self._service, request), context=self._context.copy())
        self._running.add(task)
        task.add_done_callback(self._ended)
        self._num_sent += 1
        if self._num_sent < self._hedge.settings.max_attempts:
            self._tick = self._limits.arm(self, loop.time() + self._delay_s)

    @property
    def _tried(self) -> tuple[str, ...]:
        return (*self._request.tried, *self._chosen)

    async def _others(self, failure: GatewayError) -> Response:
        """Answer as a hedge that is under way, if one succeeds."""
        while self._running and self._answer is None:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        if self._answer is not None:
            return self._answer
        if not self._failed_at:
            raise failure
        tried = replace(self._request, tried=self._tried)
        elsewhere = self._hedge.goes_elsewhere(tried)
        raise failure.replaced(others=self._failed_at, elsewhere=elsewhere) from failure

    def _ended(self, task: asyncio.Task[Response]) -> None:
        """Note how a hedge has ended; the first that has answered ends the race."""
        self._running.discard(task)
        if task.cancelled():
            self._hedge.ended("lost" if self._is_answered else "cancelled")
        elif isinstance(error := task.exception(), GatewayError):
            self._hedge.failed(error)
            self._failed_at = (*self._failed_at, error.member) if error.member else self._failed_at
            self._hedge.ended("failed")
        elif error is not None:
            self._hedge.ended("failed")
            context = {"message": "a hedge failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)
        elif self._is_answered:
            self._hedge.ended("lost")
        else:
            self._answer, self._is_answered = task.result(), True
            self._hedge.ended("won")
            # Where the first attempt has failed already this finds nothing to cancel.
            self._limit.pass_()


async def _answered(service: Service, request: Request) -> Response:
    return await service(request)


_: type[Filter] = Hedge
