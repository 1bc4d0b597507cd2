"""What an operator may set about resilience, with Envoy's names and defaults where Envoy has them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from gateway.core.retry_conditions import RETRY_ON, RetryCondition

Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
CountOrNone = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Milliseconds = Annotated[float, msgspec.Meta(gt=0, le=86_400_000)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]
_MAX_EJECTION_S: Final = 30.0
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]


class AdmissionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is let in.

    ``max_requests``: requests in flight in this process; one more is refused. 1024 (Envoy).
    ``retry_after_s``: seconds after which a refused caller may come again, in Retry-After. 1.
    """

    max_requests: Count = 1024
    retry_after_s: Seconds = 1.0


class DeadlineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long an answer may take, everything and all retries included.

    ``default_timeout_ms``: milliseconds for a caller who names no deadline. 15000 (Envoy's route timeout).
    ``max_timeout_ms``: the most that a caller may set; not below the default. 60000.
    """

    default_timeout_ms: Milliseconds = 15_000.0
    max_timeout_ms: Milliseconds = 60_000.0

    def __post_init__(self) -> None:
        if self.max_timeout_ms < self.default_timeout_ms:
            raise ValueError("max_timeout_ms must not be below default_timeout_ms")


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a failed attempt is repeated.

    ``num_retries``: further attempts after the first. 1 (Envoy).
    ``retry_on``: the failures that another attempt follows, as the policy's routes have them.
    ``per_try_timeout_ms``: milliseconds for one attempt; with the default deadline it leaves room for
    two more, as in Polly's standard pipeline (10 s of 30 s). 5000.
    ``base_interval_ms``, ``max_interval_ms``: milliseconds; the wait before a retry is drawn evenly
    between 0 and a ceiling, which starts at base, doubles with each retry and ends at max. 25 and 250
    (Envoy).
    """

    num_retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    retry_on: Annotated[tuple[RetryCondition, ...], msgspec.Meta(min_length=1, max_length=8)] = RETRY_ON
    per_try_timeout_ms: Milliseconds = 5_000.0
    base_interval_ms: Milliseconds = 25.0
    max_interval_ms: Milliseconds = 250.0

    def __post_init__(self) -> None:
        if self.max_interval_ms < self.base_interval_ms:
            raise ValueError("max_interval_ms must not be below base_interval_ms")


class BudgetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much of the load may be retries. One after an attempt of which nothing was sent is none.

    ``budget_percent``: retries under way, in percent of the requests under way. 20 (Envoy).
    ``min_retry_concurrency``: retries that are allowed however few requests there are. 3 (Envoy).
    """

    budget_percent: Percent = 20.0
    min_retry_concurrency: CountOrNone = 3


class HealthCheckSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How health is checked: of a member that is out always, of the others by ``interval_s``.

    ``timeout_s``: seconds for one answer. 1 (Envoy's examples).
    ``unhealthy_interval_s``: seconds between two checks at most, while no other endpoint can take its
    requests; less by a jitter. 0.5, so that its return is noticed within a second.
    ``interval_s``: seconds between two checks of one that serves; absent: it is not checked, its requests
    show how it is. ``initial_jitter_s``: seconds before the first of those, drawn between 0 and this. 1.
    ``unhealthy_threshold``: so many checks in a row that fail put out one that serves. 3.
    ``healthy_threshold``: so many in a row that succeed let one in that is out. 1.
    """

    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=60)] = 1.0
    unhealthy_interval_s: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=86_400)] | None = None
    initial_jitter_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 1.0
    unhealthy_threshold: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    healthy_threshold: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1


class OutlierSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a member of an endpoint is out because of how its requests end, with Envoy's names and defaults.

    What a caller's values, a model, or this gateway's own limits did is no failure here.
    """

    consecutive_gateway_failure: Count = 5
    """502, 503 and 504 in a row, and what came to no answer unless that is split off. 5, not enforced:
    ``breaker.consecutive_5xx`` counts the same."""

    consecutive_local_origin_failure: Count = 5
    """Connections refused, resets and timeouts in a row, where they are split off. 5."""

    split_external_local_origin_errors: bool = False
    """Whether what the member answers and what comes to no answer are counted apart. false."""

    interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=86_400)] = 10.0
    """Seconds between two comparisons of the members. 10."""

    base_ejection_time_s: Seconds = 30.0
    """Seconds for which a comparison puts a member out, times the number of times that it was out lately. 30.
    One that is out for failures in a row comes back when a health check succeeds."""

    max_ejection_time_s: Seconds = 300.0
    """The most seconds that they come to. 300."""

    max_ejection_percent: Percent = 50.0
    """Of the members, that comparisons may put out. 50, not Envoy's 10: most pools have two or three members.
    One may always be, the last one never."""

    success_rate_minimum_hosts: Count = 5
    """So many members, of enough requests each, are compared by their success rates. 5."""

    success_rate_request_volume: Count = 100
    """So many requests in the interval are enough for that. 100."""

    success_rate_stdev_factor: CountOrNone = 1900
    """Those are out whose success rate is below the mean by so many thousandths of the standard deviation.
    1900."""

    failure_percentage_threshold: Percent = 85.0
    """Those are out that fail so many percent. 85. Not enforced; but with two to four members it holds all
    the same where the others together fail less than half as often."""

    failure_percentage_minimum_hosts: Count = 5
    """So many members, of enough requests each, are judged by their failure percentage. 5."""

    failure_percentage_request_volume: Count = 50
    """So many requests in the interval are enough for that. 50."""

    enforcing_consecutive_5xx: Percent = 100.0
    """Percent of the cases in which ``breaker.consecutive_5xx`` puts a member out. 100."""

    enforcing_consecutive_gateway_failure: Percent = 0.0
    """The same for ``consecutive_gateway_failure``. 0."""

    enforcing_consecutive_local_origin_failure: Percent = 100.0
    """The same for ``consecutive_local_origin_failure``. 100."""

    enforcing_success_rate: Percent = 100.0
    """The same for success rates, and for the rule of few members. 100."""

    enforcing_failure_percentage: Percent = 0.0
    """The same for failure percentages. 0."""

    def __post_init__(self) -> None:
        if self.max_ejection_time_s < self.base_ejection_time_s:
            raise ValueError("max_ejection_time_s must not be below base_ejection_time_s")


class BreakerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an endpoint is left out, while another can take its requests, and when it comes back.

    ``consecutive_5xx``: failures in a row that put it out. 5 (Envoy). Failures to connect, resets, timeouts,
    502, 503 and 504 are the endpoint's; a 500 is that of one model there.
    ``base_ejection_time_s``: seconds until its health is checked first, less by a jitter; they double with
    each check that fails. 0.25 (Envoy's 30 is a time without any check).
    ``max_ejection_time_s``: the most that they come to. 30, or the base where that is more.
    ``health_check``: how its health is checked. ``outlier_detection``: how its members are compared.
    """

    consecutive_5xx: Count = 5
    base_ejection_time_s: Seconds = 0.25
    max_ejection_time_s: Seconds | None = None
    health_check: HealthCheckSettings = HealthCheckSettings()
    outlier_detection: OutlierSettings = OutlierSettings()

    def __post_init__(self) -> None:
        if self.max_ejection_time_s is not None and self.max_ejection_time_s < self.base_ejection_time_s:
            raise ValueError("max_ejection_time_s must not be below base_ejection_time_s")

    @property
    def longest_s(self) -> float:
        """The most seconds between two health checks."""
        if self.max_ejection_time_s is None:
            return max(_MAX_EJECTION_S, self.base_ejection_time_s)
        return self.max_ejection_time_s


class BulkheadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many requests one endpoint may hold of ours, so that a slow one cannot hold them all.

    ``max_concurrency``: requests under way at the endpoint. 64.
    ``max_pending``: requests that wait for a place, first come, first served. 64.
    """

    max_concurrency: Count = 64
    max_pending: CountOrNone = 64


class ShadowSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How much may be held of requests that are answered, for the ``shadow`` of their routes.

    All routes of a process together; a copy that finds no room is dropped.
    ``max_requests``: copies that wait or are under way. 256.
    ``max_mib``: what they hold, and what the answers hold that they are compared with. 64.
    """

    max_requests: CountOrNone = 256
    max_mib: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 64


class DrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a process leaves.

    ``drain_time_s``: seconds between "not ready" and closing the listeners, in which load balancers
    take notice. 2.
    ``drain_timeout_s``: seconds that accepted requests get to finish after that. 20, so that both fit
    into the 30 s that Kubernetes grants.
    """

    drain_time_s: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 2.0
    drain_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 20.0


class ResilienceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it; a part that is not named keeps its defaults."""

    admission: AdmissionSettings = AdmissionSettings()
    deadline: DeadlineSettings = DeadlineSettings()
    retry: RetrySettings = RetrySettings()
    retry_budget: BudgetSettings = BudgetSettings()
    breaker: BreakerSettings = BreakerSettings()
    bulkhead: BulkheadSettings = BulkheadSettings()
    shadow: ShadowSettings = ShadowSettings()
    drain: DrainSettings = DrainSettings()
