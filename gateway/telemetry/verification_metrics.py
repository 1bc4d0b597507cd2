"""What verified answers of the caches came to, by route: events of ``gateway.core.cache_events``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gateway.core.cache_events import CacheVerified
from gateway.core.statistics import OTHER
from gateway.telemetry.series import Counts

MAX_ROUTES: Final = 64
"""Routes with a label of their own. Operators name them, but a policy may have thousands."""


class VerificationMetrics(Collector):
    """Counts popular edge answers by what central said of them."""

    def __init__(self) -> None:
        self._routes: set[str] = set()
        self._results = Counts(
            "edgeway_cache_verifications",
            "Popular edge answers that were compared with central's",
            "route",
            "result",
        )

    def __repr__(self) -> str:
        return f"<VerificationMetrics of {len(self._routes)} routes>"

    def verified(self, event: CacheVerified) -> None:
        """Count a result."""
        if event.route not in self._routes and len(self._routes) < MAX_ROUTES:
            self._routes.add(event.route)
        self._results.count(event.route if event.route in self._routes else OTHER, event.result)

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        yield from self._results.collect()
