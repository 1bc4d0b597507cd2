"""Which members of a pool are outliers, by comparing how their requests ended. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Final

from gateway.core.errors import Why
from resilience.outcomes import Interval
from resilience.settings import OutlierSettings

SUCCESS_RATE: Final = "success_rate"
FAILURE_PERCENTAGE: Final = "failure_percentage"
_FEW: Final = 2


def outliers(intervals: Sequence[Interval], settings: OutlierSettings) -> Iterator[tuple[str, Why, float]]:
    """Yield name, reason and the percent of cases in which it is enforced, the worst members first."""
    found: dict[str, tuple[str, Why, float]] = {}
    for name, detail in _by_success_rate(intervals, settings):
        found[name] = (name, Why(SUCCESS_RATE, detail, answered=True), settings.enforcing_success_rate)
    for name, detail in _few(intervals, settings):
        why = Why(FAILURE_PERCENTAGE, detail, answered=True)
        found.setdefault(name, (name, why, settings.enforcing_success_rate))
    if settings.enforcing_failure_percentage:
        for name, detail in _by_failure_percentage(intervals, settings):
            why = Why(FAILURE_PERCENTAGE, detail, answered=True)
            found.setdefault(name, (name, why, settings.enforcing_failure_percentage))
    rates = {each.name: each.success_rate for each in intervals}
    yield from sorted(found.values(), key=lambda outlier: rates[outlier[0]])


def _by_success_rate(intervals: Sequence[Interval], settings: OutlierSettings) -> Iterator[tuple[str, str]]:
    compared = [each for each in intervals if each.volume >= settings.success_rate_request_volume]
    if len(compared) < settings.success_rate_minimum_hosts:
        return
    rates = [each.success_rate for each in compared]
    mean = sum(rates) / len(rates)
    deviation = sqrt(sum((rate - mean) ** 2 for rate in rates) / len(rates))
    least = mean - deviation * settings.success_rate_stdev_factor / 1000
    for each in compared:
        if each.success_rate < least:
            yield each.name, f"{each.success_rate:.1f} % served, the mean is {mean:.1f} %"


def _by_failure_percentage(
    intervals: Sequence[Interval], settings: OutlierSettings
) -> Iterator[tuple[str, str]]:
    compared = [each for each in intervals if each.volume >= settings.failure_percentage_request_volume]
    if len(compared) < settings.failure_percentage_minimum_hosts:
        return
    for each in compared:
        if _fails_too_much(each, settings):
            yield each.name, f"{100 - each.success_rate:.1f} % failed"


def _few(intervals: Sequence[Interval], settings: OutlierSettings) -> Iterator[tuple[str, str]]:
    """The rule for two to four members, whom a standard deviation says nothing about."""
    if not _FEW <= len(intervals) < settings.success_rate_minimum_hosts:
        return
    compared = [each for each in intervals if each.volume >= settings.failure_percentage_request_volume]
    for each in compared:
        others = Interval(
            "",
            sum(other.successes for other in compared if other is not each),
            sum(other.failures for other in compared if other is not each),
        )
        failing, failing_there = 100 - each.success_rate, 100 - others.success_rate
        if others.volume and _fails_too_much(each, settings) and failing_there < failing / 2:
            yield each.name, f"{failing:.1f} % failed, {failing_there:.1f} % at the others"


def _fails_too_much(interval: Interval, settings: OutlierSettings) -> bool:
    return 100 - interval.success_rate >= settings.failure_percentage_threshold
