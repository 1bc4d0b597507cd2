"""Metrics of what a shared level refuses to believe and to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gateway.core import cache_events
from gateway.telemetry.series import Counts


class RedisMetrics(Collector):
    """Counts what a shared level reports of its values."""

    def __init__(self) -> None:
        self.rejects = Counts(
            "edgeway_cache_sealed_rejects",
            "Values of a shared level that were not believed",
            "level",
            "reason",
        )
        self.held_back = Counts(
            "edgeway_cache_writes_held_back", "Answers not written, for their key was seen once", "level"
        )

    def __repr__(self) -> str:
        return f"<RedisMetrics {self.rejects!r}>"

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """Return what counts each kind of event."""
        return {
            cache_events.CacheSealRejected: lambda e: self.rejects.count(e.level, e.reason),
            cache_events.CacheWriteHeldBack: lambda e: self.held_back.count(e.level),
        }

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        yield from self.rejects.collect()
        yield from self.held_back.collect()
