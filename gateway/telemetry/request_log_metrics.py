"""What the log of look-ups has lost."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from gateway.core.cache_events import CacheLogLinesLost


class RequestLogMetrics(Collector):
    """Counts lines that were not written; there is no series before the first."""

    def __init__(self) -> None:
        self._lost = 0

    def __repr__(self) -> str:
        return f"<RequestLogMetrics {self._lost} lost>"

    def lost(self, event: CacheLogLinesLost) -> None:
        """Count lines."""
        self._lost += event.lines

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        if self._lost:
            name, about = "edgeway_request_log_lines_lost", "Look-ups that are not in the request log"
            yield CounterMetricFamily(name, about, value=self._lost)
