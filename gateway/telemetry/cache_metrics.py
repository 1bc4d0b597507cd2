"""Metrics of the caches by level: what look-ups and writes came to, and what levels hold now.

What a level holds is read when Prometheus asks, so that no request pays for it. Look-ups are counted with the
requests (``gateway.telemetry.requests``), as every request has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.core import cache_events
from gateway.telemetry.series import Counts

_LEVEL: Final = ("level",)


class LevelRow(msgspec.Struct, frozen=True):
    """One level in this process now, or what of a level elsewhere is in this process.

    ``evictions``: by cause, entries since the start and their bytes. ``holders``: holder → its bytes.
    ``estimates``: the hit ratio that a level of another size would have, by size.
    """

    level: str
    entries: int
    bytes: int
    max_bytes: int
    evictions: Mapping[str, tuple[int, int]] = {}
    holders: Mapping[str, int] = {}
    estimates: Mapping[str, float] = {}


class CacheWork(msgspec.Struct, frozen=True):
    """What is under way: flights, the requests that wait for them, and early refreshes."""

    flights: int = 0
    waiting: int = 0
    refreshes: int = 0


class CacheMetrics(Collector):
    """Counts what caches report; ``label`` returns the name under which a model is counted."""

    def __init__(self, label: Callable[[str], str]) -> None:
        self._label = label
        self.lost = Counts("edgeway_cache_writes_lost", "Answers that were not kept", "level", "reason")
        self.closed = Counts(
            "edgeway_cache_connections_closed",
            "Connections of a level that were given up",
            "level",
            "reason",
        )
        self.joined = Counts("edgeway_flights_joined", "Misses that waited for an equal request", "model")
        self._rows: Callable[[], Iterable[LevelRow]] = tuple
        self._work: Callable[[], CacheWork] = CacheWork
        self._is_watching = False

    def __repr__(self) -> str:
        return f"<CacheMetrics {self.lost!r}, {self.joined!r}>"

    def handlers(self) -> dict[type, Callable[[Any], None]]:
        """Return what counts each kind of event."""
        return {
            cache_events.CacheWriteLost: lambda e: self.lost.count(e.level, e.reason),
            cache_events.CacheConnectionClosed: lambda e: self.closed.count(e.level, e.reason),
            cache_events.FlightShared: lambda e: self.joined.count(self._label(e.model)),
        }

    def watch(self, rows: Callable[[], Iterable[LevelRow]], work: Callable[[], CacheWork]) -> None:
        """Show levels and what is under way from now on, as these return it."""
        self._rows, self._work, self._is_watching = rows, work, True

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        for counts in (self.lost, self.closed, self.joined):
            yield from counts.collect()
        if not self._is_watching:
            return
        rows = list(self._rows())
        yield _gauge("entries", "Answers that a level holds", rows, lambda row: row.entries)
        yield _gauge("bytes", "Bytes that a level takes", rows, lambda row: row.bytes)
        yield _gauge("max_bytes", "Bytes that a level may take", rows, lambda row: row.max_bytes)
        yield from _evictions(rows)
        yield _by("holder_bytes", "Bytes of the largest holders", "holder", rows, lambda row: row.holders)
        yield _by(
            "estimated_hit_ratio",
            "What the hit ratio would be with another size, from a sample",
            "size",
            rows,
            lambda row: row.estimates,
        )
        yield from _under_way(self._work())


def _gauge(
    name: str, text: str, rows: Iterable[LevelRow], value: Callable[[LevelRow], float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"edgeway_cache_{name}", text, labels=_LEVEL)
    for row in rows:
        family.add_metric((row.level,), value(row))
    return family


def _by(
    name: str,
    text: str,
    label: str,
    rows: Iterable[LevelRow],
    values: Callable[[LevelRow], Mapping[str, float]],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"edgeway_cache_{name}", text, labels=(*_LEVEL, label))
    for row in rows:
        for of, value in values(row).items():
            family.add_metric((row.level, of), value)
    return family


def _evictions(rows: Iterable[LevelRow]) -> tuple[CounterMetricFamily, CounterMetricFamily]:
    labels = (*_LEVEL, "cause")
    entries = CounterMetricFamily("edgeway_cache_evictions", "Answers that left a level", labels=labels)
    taken = CounterMetricFamily("edgeway_cache_evicted_bytes", "Their bytes", labels=labels)
    for row in rows:
        for cause, (count, size) in row.evictions.items():
            entries.add_metric((row.level, cause), count)
            taken.add_metric((row.level, cause), size)
    return entries, taken


def _under_way(work: CacheWork) -> Iterator[Metric]:
    for name, text, value in (
        ("flights", "Misses under way, each for all requests that are equal", work.flights),
        ("flight_waiters", "Requests that wait for them", work.waiting),
        ("cache_refreshes", "Early refreshes under way", work.refreshes),
    ):
        yield GaugeMetricFamily(f"edgeway_{name}", text, value=value)
