"""Warm fail-over as metrics: keys and answers on their way between neighbouring regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter

from gateway.core.cache_events import CacheWarmed


def warming_handlers(registry: CollectorRegistry) -> dict[type, Callable[[Any], None]]:
    """Return the handler of the event; its series are put into ``registry``."""
    keys = Counter(
        "edgeway_cache_warming_keys",
        "Keys of hot answers that were offered to a neighbouring region or by one, by what became of them",
        ("neighbour", "outcome"),
        registry=registry,
    )
    moved = Counter(
        "edgeway_cache_warming_bytes",
        "Bytes of answers that went to a neighbouring region (sent) or came from one",
        ("neighbour", "outcome"),
        registry=registry,
    )

    def warmed(event: CacheWarmed) -> None:
        keys.labels(event.neighbour, event.outcome).inc(event.keys)
        if event.bytes:
            moved.labels(event.neighbour, event.outcome).inc(event.bytes)

    return {CacheWarmed: warmed}
