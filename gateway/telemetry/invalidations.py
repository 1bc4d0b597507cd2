"""Invalidations of kept answers as metrics: what was invalidated, and how late each region's log is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.core.cache_events import InvalidationLogRead, InvalidationRead


def invalidation_handlers(registry: CollectorRegistry) -> dict[type, Callable[[Any], None]]:
    """Return the handlers of both events; their series are put into ``registry``."""
    read = Counter(
        "edgeway_invalidations",
        "Invalidations in force, by the region whose log has them; none: an order to this gateway",
        ("region", "kind"),
        registry=registry,
    )
    looks = Counter(
        "edgeway_invalidation_log_reads",
        "Looks into the log of a region",
        ("region", "outcome"),
        registry=registry,
    )
    lag = Gauge(
        "edgeway_invalidation_lag_seconds",
        "How long before the last look the oldest invalidation was written that it has found; of a log that "
        "cannot be read, for how long",
        ("region",),
        registry=registry,
    )

    def looked(event: InvalidationLogRead) -> None:
        looks.labels(event.region, event.outcome).inc()
        lag.labels(event.region).set(event.lag_s)

    return {
        InvalidationRead: lambda event: read.labels(event.region, event.kind).inc(),
        InvalidationLogRead: looked,
    }
