"""Metrics of backbones: how often features had to be computed, and how long that took."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from gateway.core.cache_events import FeaturesComputed


def feature_handlers(counter: Callable[..., Counter]) -> dict[type, Callable[[Any], None]]:
    """Return what counts events of features; ``counter`` makes and registers a metric.

    Models are this process's: nobody from outside has chosen their names.
    """
    runs = counter("backbone_runs", "Runs of backbones, of features that nobody held", "model")
    rows = counter("backbone_rows", "Rows in runs of backbones", "model")
    seconds = counter("backbone_seconds", "Seconds of runs of backbones", "model")

    def computed(event: FeaturesComputed) -> None:
        runs.labels(event.model).inc()
        rows.labels(event.model).inc(event.rows)
        seconds.labels(event.model).inc(event.run_s)

    return {FeaturesComputed: computed}
