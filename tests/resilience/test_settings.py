"""The settings of resilience."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from resilience.settings import ResilienceSettings


def test_an_empty_section_is_the_defaults_of_the_field() -> None:
    """Nothing set means Envoy's numbers."""
    settings = msgspec.convert({}, ResilienceSettings)

    assert settings.admission.max_requests == 1024
    assert settings.deadline.default_timeout_ms == 15_000
    assert (settings.retry.num_retries, settings.retry.base_interval_ms) == (1, 25)
    assert (settings.retry_budget.budget_percent, settings.retry_budget.min_retry_concurrency) == (20, 3)
    assert (settings.breaker.consecutive_5xx, settings.breaker.base_ejection_time_s) == (5, 0.25)
    assert settings.breaker.longest_s == 30
    assert settings.breaker.health_check.unhealthy_interval_s == 0.5
    assert settings.bulkhead.max_concurrency == 64
    assert settings.drain.drain_timeout_s == 20


def test_a_part_may_be_set_alone() -> None:
    """A short ejection for a demonstration leaves all else as it is."""
    settings = msgspec.convert({"breaker": {"base_ejection_time_s": 1}}, ResilienceSettings)

    assert settings == ResilienceSettings(breaker=type(settings.breaker)(base_ejection_time_s=1.0))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"admission": {"max_requests": 0}}, ">= 1.*max_requests"),
        ({"deadline": {"default_timeout_ms": 0}}, "> 0.*default_timeout_ms"),
        ({"deadline": {"max_timeout_ms": 100}}, "max_timeout_ms must not be below default_timeout_ms"),
        ({"retry": {"num_retries": 11}}, "<= 10.*num_retries"),
        ({"retry": {"max_interval_ms": 10}}, "max_interval_ms must not be below base_interval_ms"),
        ({"retry_budget": {"budget_percent": 101}}, "<= 100.*budget_percent"),
        (
            {"breaker": {"base_ejection_time_s": 5, "max_ejection_time_s": 1}},
            "max_ejection_time_s must not be below",
        ),
        ({"breaker": {"health_check": {"unhealthy_interval_s": 2}}}, "<= 1.*unhealthy_interval_s"),
        ({"bulkhead": {"max_pending": -1}}, ">= 0.*max_pending"),
        ({"drain": {"drain_time_s": -1}}, ">= 0.*drain_time_s"),
        ({"breaker": {"consecutive_5x": 5}}, "unknown field `consecutive_5x`"),
        ({"hedge": {}}, "unknown field `hedge`"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(section: dict[str, Any], message: str) -> None:
    """A number out of its range, two that contradict each other and an unknown field are errors."""
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(section, ResilienceSettings)


def test_numbers_of_files_from_before_still_hold() -> None:
    """Envoy's 30 s, and more than today's longest, are taken as they are."""
    old = msgspec.convert({"breaker": {"base_ejection_time_s": 60}}, ResilienceSettings)

    assert (old.breaker.base_ejection_time_s, old.breaker.longest_s) == (60, 60)
