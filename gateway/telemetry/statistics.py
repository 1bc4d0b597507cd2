"""What was counted, as the protocol's statistics, per model and version."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from gateway.core.cache_levels import LEVEL_NAMES
from gateway.core.request import STALE
from gateway.core.statistics import BatchStatistics, Counted, Duration, ModelStatistics, Statistics
from gateway.telemetry.requests import RequestCell, Requests
from gateway.telemetry.runs import RunCell, Runs

_NO_MODEL: Final = frozenset({"not_found", "unauthenticated", "forbidden"})
_CACHES: Final = frozenset({*LEVEL_NAMES, STALE})


class Tallies:
    """The statistics of models.

    Args:
        requests: what is counted of every request.
        runs: what is counted of every run in this process.
        remote: provenances of answers that another process computed; each counts as a run of its model
            that took as long as the request did.
        is_cached: whether answers of a model may come from a cache, so that another one is a miss.
    """

    def __init__(
        self,
        requests: Requests,
        runs: Runs,
        *,
        remote: Collection[str] = (),
        is_cached: Callable[[str], bool] = lambda _model: False,
    ) -> None:
        self._requests, self._runs = requests, runs
        self._remote = frozenset(remote)
        self._is_cached = is_cached

    def __repr__(self) -> str:
        return f"<Tallies of {self._requests!r} and {self._runs!r}>"

    async def counted(self) -> Counted:
        """Return what was counted until now."""
        return self.read()

    def read(self) -> Counted:
        """Return what was counted until now."""
        return Counted(self._all().values())

    def _all(self) -> dict[tuple[str, str], ModelStatistics]:
        """Put requests and runs together."""
        found: dict[tuple[str, str], ModelStatistics] = {}
        for (model, version, provenance, code), cell in self._requests.cells.items():
            if code in _NO_MODEL:
                continue
            key = (model, version)
            statistics = found.setdefault(key, ModelStatistics(model, version))
            self._add(statistics, provenance, cell, is_ok=code == "ok")
        for (model, version, size), ran in sorted(self._runs.cells.items()):
            _ran(found.setdefault((model, version), ModelStatistics(model, version)), size, ran)
        return found

    def _add(self, found: ModelStatistics, provenance: str, cell: RequestCell, *, is_ok: bool) -> None:
        stats, ns = found.inference_stats, int(cell.sum * 1e9)
        if not is_ok:
            _more(stats.fail, cell.count, ns)
            return
        _more(stats.success, cell.count, ns)
        found.last_inference = max(found.last_inference, int(cell.last_s * 1000))
        if provenance in _CACHES:
            _more(stats.cache_hit, cell.count, ns)
            return
        if self._is_cached(found.name):
            stats.cache_miss.count += cell.count
        if provenance in self._remote:
            found.inference_count += cell.count
            found.execution_count += cell.count
            batch = BatchStatistics(1)
            for durations in (stats, batch):
                _more(durations.compute_input, cell.count, 0)
                _more(durations.compute_infer, cell.count, ns)
                _more(durations.compute_output, cell.count, 0)
            _more(stats.queue, cell.count, 0)
            found.batch_stats = [*found.batch_stats, batch]


def _ran(found: ModelStatistics, size: int, ran: RunCell) -> None:
    found.inference_count += size * ran.count
    found.execution_count += ran.count
    stats, batch = found.inference_stats, BatchStatistics(size)
    _more(stats.queue, ran.requests, _ns(ran.queued_s))
    _more(stats.compute_input, ran.requests, _ns(ran.all_input_s))
    _more(stats.compute_infer, ran.requests, _ns(ran.all_infer_s))
    _more(stats.compute_output, ran.requests, _ns(ran.all_output_s))
    _more(batch.compute_input, ran.count, _ns(ran.input_s))
    _more(batch.compute_infer, ran.count, _ns(ran.infer_s))
    _more(batch.compute_output, ran.count, _ns(ran.output_s))
    found.batch_stats = [*found.batch_stats, batch]


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _more(duration: Duration, count: int, ns: int) -> None:
    duration.count += count
    duration.ns += ns


_: type[Statistics] = Tallies
