"""How requests ended, and the look-ups in caches, counted in plain numbers.

These two events come with every request, and counting them in Prometheus's own objects costs as much as
looking the answer up. So they are only counted here, in a process of one thread, and turned into series
and statistics when these are read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gateway.core.cache_events import CacheLookedUp
from gateway.core.statistics import OTHER
from gateway.core.telemetry import RequestFinished
from gateway.telemetry.series import LATENCY_BUCKETS_S, Spread

MAX_MODELS: Final = 64
"""Models that no policy names in full become labels when they have answered, and only so many of them: the
names come from clients. The rest are counted as ``other``."""

MAX_KINDS: Final = 4096
"""Kinds of requests that are told apart by version and tenant: a policy may have many."""

_UNKNOWN: Final = "unknown"


class RequestCell(Spread):
    """Requests for one version of one model that ended alike: the seconds that they took.

    ``last_s``: when the last of them ended, wall seconds. ``more_rows``: of their batches, beyond the first.
    """

    __slots__ = ("count", "last_s", "more_rows")

    def __init__(self) -> None:
        super().__init__(len(LATENCY_BUCKETS_S))
        self.count, self.last_s, self.more_rows = 0, 0.0, 0


class Requests(Collector):
    """Counts requests and look-ups.

    ``cells``: model, version, provenance, code and tenant → what ended so. Names of models are those that
    ``label`` allows; the tenant is empty where nobody was identified, and of a kind beyond ``MAX_KINDS``.
    ``lookups``: what look-ups in caches came to.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self.cells: dict[tuple[str, str, str, str, str], RequestCell] = {}
        self.lookups: dict[CacheLookedUp, int] = {}
        self._models: set[str] = set()
        self._answered = 0

    def __repr__(self) -> str:
        return f"<Requests {len(self.cells)} kinds, {len(self._models)} models>"

    def finished(self, event: RequestFinished) -> None:
        """Count a request."""
        cell = self.cells.get((event.model, event.version, event.provenance, event.code, event.tenant))
        if cell is None:
            cell = self._open(event)
        seconds = event.seconds
        if event.rows != 1:
            cell.more_rows += event.rows - 1
        cell.count += 1
        cell.sum += seconds
        cell.last_s = self._wall()
        cell.buckets[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1

    def looked_up(self, event: CacheLookedUp) -> None:
        """Count a look-up in a cache."""
        lookups = self.lookups
        lookups[event] = lookups.get(event, 0) + 1

    def expect(self, models: Iterable[str]) -> None:
        """Make labels of names that come from an operator, not from a client."""
        self._models.update(models)

    def label(self, model: str, *, answered: bool = False) -> str:
        """Return the name under which a model is counted: one that only a client knows is no label."""
        if model in self._models:
            return model
        if not answered or self._answered >= MAX_MODELS:
            return OTHER
        self._answered += 1
        self._models.add(model)
        return model

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        requests: dict[tuple[str, str, str], int] = {}
        times: dict[str, RequestCell] = {}
        for (model, _, provenance, code, _), cell in self.cells.items():
            key = (model, provenance, code)
            requests[key] = requests.get(key, 0) + cell.count
            times.setdefault(provenance, RequestCell()).add(cell)
        counter = CounterMetricFamily(
            "edgeway_requests", "Requests by outcome", labels=("model", "provenance", "code")
        )
        for labels, count in requests.items():
            counter.add_metric(labels, count)
        yield counter
        histogram = HistogramMetricFamily("edgeway_request_seconds", "Time to answer", labels=("provenance",))
        for provenance, time in times.items():
            histogram.add_metric((provenance,), time.cumulated(LATENCY_BUCKETS_S), time.sum)
        yield histogram
        lookups = CounterMetricFamily("edgeway_cache_lookups", "Cache look-ups", labels=("level", "outcome"))
        for event, count in self.lookups.items():
            lookups.add_metric((event.level, event.outcome), count)
        yield lookups

    def _open(self, event: RequestFinished) -> RequestCell:
        is_ok = event.code == "ok"
        model = _UNKNOWN if event.code == "not_found" else self.label(event.model, answered=is_ok)
        # A version that has answered is a model's; any other comes from a client, as its name does.
        has_room = len(self.cells) < MAX_KINDS
        version = event.version if is_ok and model != OTHER and has_room else ""
        tenant = event.tenant if has_room else ""
        key = (model, version, event.provenance, event.code, tenant)
        return self.cells.setdefault(key, RequestCell())
