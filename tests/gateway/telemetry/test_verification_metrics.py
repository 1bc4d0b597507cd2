"""Verified answers are counted by route and result."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.cache_events import CacheVerified
from gateway.telemetry.verification_metrics import MAX_ROUTES, VerificationMetrics


def test_results_are_counted_by_route_and_there_are_only_so_many_routes() -> None:
    """What is beyond them is one series."""
    metrics, registry = VerificationMetrics(), CollectorRegistry()
    registry.register(metrics)
    for number in range(MAX_ROUTES + 5):
        metrics.verified(CacheVerified(f"r{number}", "agreed"))
    metrics.verified(CacheVerified("r0", "differed"))

    lines = [line for line in generate_latest(registry).decode().splitlines() if line.startswith("edgeway_")]

    assert 'edgeway_cache_verifications_total{result="agreed",route="r0"} 1.0' in lines
    assert 'edgeway_cache_verifications_total{result="differed",route="r0"} 1.0' in lines
    assert len(lines) == MAX_ROUTES + 2
    assert "64 routes" in repr(metrics)
