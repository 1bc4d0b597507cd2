"""Lines that the log of look-ups has lost."""

from __future__ import annotations

from gateway.core.cache_events import CacheLogLinesLost
from gateway.telemetry.request_log_metrics import RequestLogMetrics


def test_lost_lines_add_up() -> None:
    """There is nothing to see before the first."""
    metrics = RequestLogMetrics()
    assert list(metrics.collect()) == []
    metrics.lost(CacheLogLinesLost(2))
    metrics.lost(CacheLogLinesLost(3))
    (family,) = metrics.collect()
    assert [sample.value for sample in family.samples] == [5.0]
    assert "5 lost" in repr(metrics)
