"""Keys and answers between neighbours, as metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from gateway.core.cache_events import CacheWarmed
from gateway.telemetry.warming_metrics import warming_handlers


def test_keys_and_bytes_are_counted_by_neighbour_and_outcome() -> None:
    """What is about keys alone has no bytes."""
    registry = CollectorRegistry()
    handler = warming_handlers(registry)[CacheWarmed]
    handler(CacheWarmed("eu", "offered", keys=5))
    handler(CacheWarmed("eu", "sent", keys=2, bytes=700))

    text = generate_latest(registry).decode()
    assert 'edgeway_cache_warming_keys_total{neighbour="eu",outcome="offered"} 5.0' in text
    assert 'edgeway_cache_warming_bytes_total{neighbour="eu",outcome="sent"} 700.0' in text
    assert 'edgeway_cache_warming_bytes_total{neighbour="eu",outcome="offered"}' not in text
