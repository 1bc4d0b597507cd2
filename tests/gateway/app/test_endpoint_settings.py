"""What a policy says of an endpoint goes before the gateway's own settings, and what it does not say does not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.app.endpoint_settings import breaker_settings, bulkhead_settings
from resilience.settings import BreakerSettings, BulkheadSettings, OutlierSettings
from routing.endpoint import OutlierDetection
from routing.policy import Endpoint

OWN = BreakerSettings(consecutive_5xx=7, outlier_detection=OutlierSettings(interval_s=3.0))


def endpoint(**fields: Any) -> Endpoint:
    plain = {"tier": "central", "region": "eu", "protocol": "grpc", "address": "a:1", **fields}
    return msgspec.convert(plain, Endpoint)


def test_nothing_said():
    assert breaker_settings(OWN, endpoint()) is OWN
    bulkhead = BulkheadSettings(max_concurrency=9)
    assert bulkhead_settings(bulkhead, endpoint()) is bulkhead


def test_what_is_said():
    found = breaker_settings(
        OWN,
        endpoint(
            outlier_detection={"consecutive_5xx": 2, "success_rate_minimum_hosts": 3},
            health_check={"path": "/healthz", "interval_s": 4, "healthy_threshold": 2},
        ),
    )
    assert found.consecutive_5xx == 2
    assert found.outlier_detection == OutlierSettings(interval_s=3.0, success_rate_minimum_hosts=3)
    assert (found.health_check.interval_s, found.health_check.healthy_threshold) == (4.0, 2)
    assert found.health_check.unhealthy_interval_s == OWN.health_check.unhealthy_interval_s
    assert bulkhead_settings(BulkheadSettings(), endpoint(max_concurrency=3)).max_concurrency == 3


def test_every_field_of_the_policy_has_its_place():
    """One that resilience does not know would raise a TypeError for each policy that names it."""
    there = {field.name for field in msgspec.structs.fields(OutlierSettings)} | {"consecutive_5xx"}
    assert {field.name for field in msgspec.structs.fields(OutlierDetection)} == there


def test_both_together_may_be_wrong():
    with pytest.raises(ValueError, match="max_ejection_time_s"):
        breaker_settings(OWN, endpoint(outlier_detection={"base_ejection_time_s": 301}))
