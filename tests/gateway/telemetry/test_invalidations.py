"""Metrics of invalidations: the lag of each region, and how its log was read."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.cache_events import InvalidationLogRead, InvalidationRead
from gateway.telemetry.invalidations import invalidation_handlers


def test_the_lag_is_that_of_the_last_look() -> None:
    """And looks are counted by what came of them."""
    registry = CollectorRegistry()
    handlers = invalidation_handlers(registry)

    for event in (
        InvalidationLogRead("us", "unreachable", 3.0),
        InvalidationLogRead("us", "read", 0.5),
        InvalidationRead("us", "all"),
    ):
        handlers[type(event)](event)

    text = generate_latest(registry).decode()
    assert 'edgeway_invalidation_lag_seconds{region="us"} 0.5' in text
    assert 'edgeway_invalidation_log_reads_total{outcome="unreachable",region="us"} 1.0' in text
    assert 'edgeway_invalidations_total{kind="all",region="us"} 1.0' in text
