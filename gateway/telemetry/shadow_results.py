"""What became of copies of answered requests, by route."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.registry import Collector

from gateway.core.statistics import OTHER
from gateway.core.telemetry import ShadowFinished
from gateway.telemetry.series import LATENCY_BUCKETS_S, Counts, Spreads

MAX_SHADOWS: Final = 64
"""Routes with a label of their own. Operators name them, but a policy may have thousands."""


class ShadowResults(Collector):
    """Counts results, and how much later or sooner than the caller's answer the shadow's came.

    These are two histograms: the sum of one that takes both would fall, and no rate could be taken of it.
    """

    def __init__(self) -> None:
        self._routes: set[str] = set()
        self._results = Counts("edgeway_shadows", "Copies of answered requests", "route", "result")
        self._later = _spreads("later", "Time that the shadow's answer took longer than the caller's")
        self._sooner = _spreads("sooner", "Time that the shadow's answer took less than the caller's")

    def __repr__(self) -> str:
        return f"<ShadowResults of {len(self._routes)} routes>"

    def finished(self, event: ShadowFinished) -> None:
        """Count a copy."""
        route = self._label(event.route)
        self._results.count(route, event.result)
        if event.later_s is not None:
            (self._later if event.later_s >= 0 else self._sooner).observe(route, abs(event.later_s))

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        for series in (self._results, self._later, self._sooner):
            yield from series.collect()

    def _label(self, route: str) -> str:
        if route not in self._routes:
            if len(self._routes) >= MAX_SHADOWS:
                return OTHER
            self._routes.add(route)
        return route


def _spreads(name: str, help_: str) -> Spreads:
    return Spreads(f"edgeway_shadow_{name}_seconds", help_, "route", bounds=LATENCY_BUCKETS_S)
