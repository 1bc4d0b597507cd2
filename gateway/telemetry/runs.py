"""What models did in this process, counted in plain numbers, for Prometheus and for the statistics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from gateway.core.telemetry import BatchRan, RunCut
from gateway.telemetry.series import LATENCY_BUCKETS_S, Spread

SIZE_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class RunCell:
    """Runs of one version of one model with equally many rows, and the seconds that they took.

    ``all_*_s``: once for each request of a run. ``oldest``: what the first request of a run waited;
    ``queued_s``: what all of them did.
    """

    __slots__ = (
        *("all_infer_s", "all_input_s", "all_output_s", "infer_s", "input_s", "output_s"),
        *("count", "oldest", "queued_s", "requests", "run"),
    )

    def __init__(self) -> None:
        self.count = self.requests = 0
        self.infer_s = self.input_s = self.output_s = self.queued_s = 0.0
        self.all_infer_s = self.all_input_s = self.all_output_s = 0.0
        self.run, self.oldest = Spread(len(LATENCY_BUCKETS_S)), Spread(len(LATENCY_BUCKETS_S))


class Runs(Collector):
    """Counts runs.

    ``cells``: model, version and rows → what ran so. None of the three comes from a client, so there are only
    so many.
    """

    def __init__(self) -> None:
        self.cells: dict[tuple[str, str, int], RunCell] = {}
        self._cut: Counter[tuple[str, str]] = Counter()

    def __repr__(self) -> str:
        return f"<Runs of {len(self.cells)} kinds>"

    def ran(self, event: BatchRan) -> None:
        """Count a run."""
        cell = self.cells.get((event.model, event.version, event.size))
        if cell is None:
            cell = self.cells[event.model, event.version, event.size] = RunCell()
        requests, run_s, queue_s = event.requests, event.run_s, event.queue_s
        cell.count += 1
        cell.requests += requests
        cell.queued_s += event.queued_s
        run, oldest = cell.run, cell.oldest
        run.sum += run_s
        run.buckets[bisect_left(LATENCY_BUCKETS_S, run_s)] += 1
        oldest.sum += queue_s
        oldest.buckets[bisect_left(LATENCY_BUCKETS_S, queue_s)] += 1
        if event.input_s or event.output_s:
            input_s, output_s = event.input_s, event.output_s
            run_s = max(0.0, run_s - input_s - output_s)
            cell.input_s += input_s
            cell.output_s += output_s
            cell.all_input_s += input_s * requests
            cell.all_output_s += output_s * requests
        cell.infer_s += run_s
        cell.all_infer_s += run_s * requests

    def cut(self, event: RunCut) -> None:
        """Count a run that did not end by itself."""
        self._cut[event.model, event.outcome] += 1

    def collect(self) -> Iterator[Metric]:
        """Give the series to Prometheus."""
        cut = CounterMetricFamily(
            "edgeway_model_runs_cut", "Runs that did not end by themselves", labels=("model", "outcome")
        )
        for labels, count in self._cut.items():
            cut.add_metric(labels, count)
        yield cut
        sizes = HistogramMetricFamily("edgeway_batch_rows", "Rows per run", labels=("model",))
        oldest = HistogramMetricFamily("edgeway_batch_queue_seconds", "Oldest wait", labels=("model",))
        took = HistogramMetricFamily("edgeway_batch_run_seconds", "Time of a run", labels=("model",))
        for model in dict.fromkeys(name for name, _, _ in self.cells):
            cells = [(size, cell) for (name, _, size), cell in self.cells.items() if name == model]
            rows = Spread(len(SIZE_BUCKETS))
            for size, cell in cells:
                rows.buckets[bisect_left(SIZE_BUCKETS, size)] += cell.count
                rows.sum += size * cell.count
            sizes.add_metric((model,), rows.cumulated(SIZE_BUCKETS), rows.sum)
            for family, spreads in (
                (oldest, [cell.oldest for _, cell in cells]),
                (took, [cell.run for _, cell in cells]),
            ):
                every = _sum(spreads)
                family.add_metric((model,), every.cumulated(LATENCY_BUCKETS_S), every.sum)
        yield from (sizes, oldest, took)


def _sum(spreads: Iterable[Spread]) -> Spread:
    every = Spread(len(LATENCY_BUCKETS_S))
    for spread in spreads:
        every.add(spread)
    return every
