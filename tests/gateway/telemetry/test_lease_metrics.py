"""What became of leases is counted by level and outcome."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.cache_events import CacheLeased
from gateway.telemetry.lease_metrics import LeaseMetrics


def test_leases_are_counted_by_what_became_of_them() -> None:
    """One series for each outcome that occurred."""
    metrics, registry = LeaseMetrics(), CollectorRegistry()
    registry.register(metrics)
    for outcome in ("won", "lost", "won"):
        metrics.leased(CacheLeased("l2", outcome))

    lines = generate_latest(registry).decode().splitlines()

    assert 'edgeway_cache_leases_total{level="l2",outcome="won"} 2.0' in lines
    assert 'edgeway_cache_leases_total{level="l2",outcome="lost"} 1.0' in lines
    assert "2 series" in repr(metrics)
