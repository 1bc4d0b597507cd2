"""Trying again, where that may help and does no harm."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_exponential

from gateway.core.clock import Chance, Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, Request, Response
from gateway.core.retry_conditions import RetryCondition, retries
from gateway.core.service import Filter, Service
from gateway.core.telemetry import RetryDenied, RetryScheduled, Telemetry
from resilience.budget import RetryBudget
from resilience.settings import RetrySettings


class Retry:
    """Repeats a request whose failure is one of ``retry_on``; the next attempt may go elsewhere.

    It says where the attempts before have failed (``Request.tried``; Envoy: previous_hosts).

    The wait before a retry is drawn evenly between 0 and a ceiling, which starts at base, doubles with
    each retry and ends at max ("full jitter": M. Brooker, Exponential Backoff and Jitter, AWS 2015);
    it is as long as the failure's ``retry_after_s``, if that is more and the next attempt does not go
    ``elsewhere``. The failure is passed on at
    once when the attempts are used up, when the wait would not end before the deadline, or when the
    budget is spent. An attempt of which nothing was sent (connection refused, circuit open) has been no
    load for anybody, so the one after it costs no budget (gRPC: transparent retries); the number of
    attempts and the deadline hold for it as well.

    Args:
        settings: attempts and waits.
        budget: shared by all that retry towards the same endpoints.
        clock: measures the wait against the deadline, and sleeps.
        chance: draws the wait.
        telemetry: gets ``RetryScheduled`` and ``RetryDenied``.
        num_retries: a route's own number of further attempts, in place of the settings'.
        retry_on: its own conditions, likewise.
    """

    def __init__(
        self,
        settings: RetrySettings,
        budget: RetryBudget,
        *,
        clock: Clock,
        chance: Chance,
        telemetry: Telemetry,
        num_retries: int | None = None,
        retry_on: Sequence[RetryCondition] | None = None,
    ) -> None:
        self._num_retries = settings.num_retries if num_retries is None else num_retries
        self._retry_on = settings.retry_on if retry_on is None else retry_on
        self._budget = budget
        self._clock = clock
        self._chance = chance
        self._telemetry = telemetry
        # Tenacity's own random strategy draws from a global source; it gives the ceiling, Chance the rest.
        self._ceiling = wait_exponential(
            multiplier=settings.base_interval_ms / 1000, max=settings.max_interval_ms / 1000
        )
        self._retryable = retry_if_exception(self._is_retried)

    def __repr__(self) -> str:
        return f"<Retry {self._num_retries} on {' '.join(self._retry_on)}, {self._budget!r}>"

    async def __call__(self, request: Request, service: Service) -> Response:
        """Answer, with the failure of the last attempt if none succeeds."""
        if SEQUENCE in request.parameters:
            # The failed attempt may have moved the model's state all the same.
            return await service(request)
        self._budget.enter()
        try:
            return await service(request)
        except GatewayError as error:
            if not self._num_retries or not self._is_retried(error):
                raise
            return await self._again(request, service, error)
        finally:
            self._budget.leave()

    async def _again(self, request: Request, service: Service, failure: GatewayError) -> Response:
        series = _Series(request, service, failure, self._budget)
        # An AsyncRetrying keeps the state of its run in itself, so each run has its own; that, and all
        # of tenacity, is paid for only once an attempt has failed.
        retrying = AsyncRetrying(
            retry=self._retryable,
            wait=self._wait,
            stop=lambda state: self._is_denied(series, state),
            before_sleep=self._announce,
            sleep=self._clock.sleep,
            reraise=True,
        )
        try:
            response: Response = await retrying(series.attempt)
        finally:
            series.give_back()
        return response

    def _is_retried(self, error: BaseException) -> bool:
        return isinstance(error, GatewayError) and retries(error, self._retry_on)

    def _wait(self, state: RetryCallState) -> float:
        jittered = self._chance.random() * self._ceiling(state)
        failure = _failure_of(state)
        return jittered if failure.elsewhere else max(jittered, failure.retry_after_s or 0.0)

    def _is_denied(self, series: _Series, state: RetryCallState) -> bool:
        if state.attempt_number > self._num_retries:
            reason = "attempts"
        elif self._clock.now() + state.upcoming_sleep >= series.request.deadline:
            reason = "deadline"
        elif not series.take(is_free=_was_no_load(_failure_of(state))):
            reason = "budget"
        else:
            return False
        self._telemetry.emit(RetryDenied(reason))
        return True

    def _announce(self, state: RetryCallState) -> None:
        attempt, fault = state.attempt_number, _failure_of(state).fault
        self._telemetry.emit(RetryScheduled(attempt, fault, state.upcoming_sleep))


class _Series:
    """The attempts of one request, and the one place that it may hold in the budget."""

    def __init__(
        self, request: Request, service: Service, failure: GatewayError, budget: RetryBudget
    ) -> None:
        self.request = request
        self._service = service
        self._first_failure: GatewayError | None = failure
        self._budget = budget
        self._number, self._tried = request.attempt, request.tried
        self._holds_place = False

    async def attempt(self) -> Response:
        """Make the next attempt. Tenacity's first is the one that has already failed."""
        if self._first_failure is not None:
            failure, self._first_failure = self._first_failure, None
            self._note(failure)
            raise failure
        self._number += 1
        try:
            return await self._service(replace(self.request, attempt=self._number, tried=self._tried))
        except GatewayError as error:
            self._note(error)
            raise

    def take(self, *, is_free: bool) -> bool:
        """Take a place in the budget anew, as it may have shrunk; none where the retry ``is_free``."""
        self.give_back()
        if is_free:
            return True
        self._holds_place = self._budget.take()
        return self._holds_place

    def _note(self, failure: GatewayError) -> None:
        for member in (failure.member, *failure.others):
            if member and member not in self._tried:
                self._tried = (*self._tried, member)

    def give_back(self) -> None:
        """Give the place back, if there is one."""
        if self._holds_place:
            self._holds_place = False
            self._budget.give_back()


def _was_no_load(failure: GatewayError) -> bool:
    """Whether nobody has had anything to do with the attempt. An overload here is one: retries prolong it."""
    return failure.unsent and failure.fault is Fault.UNAVAILABLE


def _failure_of(state: RetryCallState) -> GatewayError:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert isinstance(error, GatewayError)
    return error


_: type[Filter] = Retry
