"""The members of endpoints as Prometheus' text, made when it is read: that costs no request anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MOST: Final = 256
"""Members with series of their own; of all others together there are sums, as member ``other``."""

_OTHER: Final = "other"
_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}
_LABELS: Final = ("endpoint", "member")


class MemberRow(msgspec.Struct, frozen=True):
    """One member now.

    ``state``: of its breaker. ``requests``, ``failures``: since it is a member. ``num_models``: those
    that its index lists as ready; None: that is not known.
    """

    endpoint: str
    member: str
    state: str
    is_drained: bool
    active: int
    latency_s: float
    requests: int
    failures: int
    num_models: int | None = None


class Members(Collector):
    """``rows`` returns the members of the endpoints in force."""

    def __init__(self, rows: Callable[[], Iterable[MemberRow]]) -> None:
        self._rows = rows

    def __repr__(self) -> str:
        return f"<Members {sum(1 for _ in self._rows())}>"

    def collect(self) -> Iterator[Metric]:
        """Return the series."""
        rows = list(self._rows())
        own, others = rows[:MOST], rows[MOST:]
        yield _gauges("member_state", "0 closed, 1 half open, 2 open", own, lambda row: _STATES[row.state])
        yield _gauges(
            "member_drained", "1: an operator or the policy drains it", own, lambda row: row.is_drained
        )
        yield _gauges("member_latency_seconds", "Peak-EWMA of its latency", own, lambda row: row.latency_s)
        listing = [row for row in own if row.num_models is not None]
        yield _gauges(
            "member_models", "Models that it lists as ready", listing, lambda row: row.num_models or 0
        )
        active = _gauges("member_active", "Requests under way at it", own, lambda row: row.active)
        requests = _counts("member_requests", "Attempts sent to it", own, lambda row: row.requests)
        failures = _counts("member_failures", "Attempts that failed there", own, lambda row: row.failures)
        if others:
            active.add_metric((_OTHER, _OTHER), sum(row.active for row in others))
            requests.add_metric((_OTHER, _OTHER), sum(row.requests for row in others))
            failures.add_metric((_OTHER, _OTHER), sum(row.failures for row in others))
        yield from (active, requests, failures)


def _gauges(
    name: str, text: str, rows: Iterable[MemberRow], value: Callable[[MemberRow], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"edgeway_{name}", text, labels=_LABELS)
    for row in rows:
        family.add_metric((row.endpoint, row.member), value(row))
    return family


def _counts(
    name: str, text: str, rows: Iterable[MemberRow], value: Callable[[MemberRow], float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"edgeway_{name}", text, labels=_LABELS)
    for row in rows:
        family.add_metric((row.endpoint, row.member), value(row))
    return family
