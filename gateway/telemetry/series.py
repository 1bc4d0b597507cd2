"""Series that many events move: plain numbers while counted, Prometheus's objects when read.

Prometheus's own take a lock for each step, and several steps for one event. The process has one thread that
counts, and needs none.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

LATENCY_BUCKETS_S: Final = (
    *(0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)


class Spread:
    """A histogram's values: how many up to each bound, and their sum."""

    __slots__ = ("buckets", "sum")

    def __init__(self, bounds: int) -> None:
        self.buckets, self.sum = [0] * (bounds + 1), 0.0

    def add(self, other: Spread) -> None:
        """Add the values of another histogram with the same bounds."""
        self.sum += other.sum
        self.buckets = [ours + theirs for ours, theirs in zip(self.buckets, other.buckets, strict=True)]

    def cumulated(self, bounds: Sequence[float]) -> list[tuple[str, float]]:
        """Return the values up to each bound and in all, as Prometheus has them."""
        total, found = 0, []
        for bound, count in zip((*map(str, map(float, bounds)), "+Inf"), self.buckets, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Counts(Collector):
    """A counter with labels."""

    def __init__(self, name: str, help_: str, *labels: str) -> None:
        self._name, self._help, self._labels = name, help_, labels
        self._counts: dict[tuple[str, ...], int] = {}

    def __repr__(self) -> str:
        return f"<Counts {self._name}, {len(self._counts)} series>"

    def count(self, *labels: str) -> None:
        """Count one."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def counted(self, first: str) -> dict[str, int]:
        """Return the counts of the series whose first label is ``first``, by their last one."""
        return {labels[-1]: count for labels, count in self._counts.items() if labels[0] == first}

    def total(self) -> int:
        """Return the sum of all series."""
        return sum(self._counts.values())

    def collect(self) -> Iterable[Metric]:
        """Give the series to Prometheus."""
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        return (family,)


class Gauges(Collector):
    """A gauge with one label."""

    def __init__(self, name: str, help_: str, label: str) -> None:
        self._name, self._help, self._label = name, help_, label
        self._values: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<Gauges {self._name} {self._values}>"

    def set(self, label: str, value: float) -> None:
        """Note the value now."""
        self._values[label] = value

    def collect(self) -> Iterable[Metric]:
        """Give the series to Prometheus."""
        family = GaugeMetricFamily(self._name, self._help, labels=(self._label,))
        for label, value in self._values.items():
            family.add_metric((label,), value)
        return (family,)


class Reasons(Collector):
    """Why endpoints, and models at them, are out: a series for each, while there is a reason."""

    def __init__(self, name: str, help_: str) -> None:
        self._name, self._help = name, help_
        self._reasons: dict[tuple[str, str], str] = {}

    def __repr__(self) -> str:
        return f"<Reasons {self._name} {self._reasons}>"

    def note(self, endpoint: str, model: str, reason: str) -> None:
        """Note why it is out now; empty: it is not."""
        if reason:
            self._reasons[endpoint, model] = reason
        else:
            self._reasons.pop((endpoint, model), None)

    def forget(self, endpoint: str) -> None:
        """Drop all series of an endpoint that is not used any more."""
        self._reasons = {key: reason for key, reason in self._reasons.items() if key[0] != endpoint}

    def collect(self) -> Iterable[Metric]:
        """Give the series to Prometheus."""
        family = GaugeMetricFamily(self._name, self._help, labels=("endpoint", "model", "reason"))
        for (endpoint, model), reason in self._reasons.items():
            family.add_metric((endpoint, model, reason), 1.0)
        return (family,)


class Spreads(Collector):
    """A histogram with one label."""

    def __init__(self, name: str, help_: str, label: str, *, bounds: Sequence[float]) -> None:
        self._name, self._help, self._label = name, help_, label
        self._bounds = tuple(bounds)
        self._spreads: dict[str, Spread] = {}

    def __repr__(self) -> str:
        return f"<Spreads {self._name}, {len(self._spreads)} series>"

    def observe(self, label: str, value: float) -> None:
        """Note a value."""
        spread = self._spreads.get(label)
        if spread is None:
            spread = self._spreads[label] = Spread(len(self._bounds))
        spread.buckets[bisect_left(self._bounds, value)] += 1
        spread.sum += value

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        family = HistogramMetricFamily(self._name, self._help, labels=(self._label,))
        for label, spread in self._spreads.items():
            family.add_metric((label,), spread.cumulated(self._bounds), spread.sum)
        yield family
