"""What a shared level refuses, as Prometheus sees it."""

from __future__ import annotations

from gateway.core.cache_events import CacheSealRejected, CacheWriteHeldBack
from gateway.telemetry.redis_metrics import RedisMetrics


def test_rejects_and_writes_held_back_are_counted() -> None:
    metrics = RedisMetrics()
    for event in (CacheSealRejected("l2", "seal"), CacheSealRejected("l2", "seal"), CacheWriteHeldBack("l2")):
        metrics.handlers()[type(event)](event)

    assert metrics.rejects.counted("l2") == {"seal": 2}
    assert metrics.held_back.total() == 1
    assert [family.name for family in metrics.collect()] == [
        "edgeway_cache_sealed_rejects",
        "edgeway_cache_writes_held_back",
    ]
    assert "sealed_rejects" in repr(metrics)
