"""What became of leases, by level: events of ``gateway.core.cache_events``."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gateway.core.cache_events import CacheLeased
from gateway.telemetry.series import Counts


class LeaseMetrics(Collector):
    """Counts leases that were won, lost, and what came of it."""

    def __init__(self) -> None:
        self._leases = Counts("edgeway_cache_leases", "Leases on answers to compute", "level", "outcome")

    def __repr__(self) -> str:
        return f"<LeaseMetrics {self._leases}>"

    def leased(self, event: CacheLeased) -> None:
        """Count an outcome."""
        self._leases.count(event.level, event.outcome)

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        yield from self._leases.collect()
