"""What was counted, as the protocol's statistics, per model and version."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from gateway.core.cache_levels import LEVEL_NAMES
from gateway.core.request import STALE
from gateway.core.statistics import BatchStatistics, Counted, Duration, ModelStatistics, TenantStatistics
from gateway.telemetry.requests import RequestCell, Requests
from gateway.telemetry.runs import RunCell, Runs

_NO_MODEL: Final = frozenset({"not_found", "unauthenticated", "forbidden"})
_CACHES: Final = frozenset({*LEVEL_NAMES, STALE})


class Tallies:
    """The statistics of models, as Triton counts them.

    Requests count what was asked here: each that was answered is one success, waited once, and was computed
    once unless it came from a cache, however many models ran for it and wherever they did. Runs count what
    models did.

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

    async def counted(self, tenant: str = "") -> Counted:
        """Return what was counted until now, of all or of one tenant."""
        return self.read(tenant)

    def read(self, tenant: str = "") -> Counted:
        """Return what was counted until now.

        Of one tenant: a run may have been others', too, so every computed answer counts as one that took as
        long as the request did.
        """
        found: dict[tuple[str, str], ModelStatistics] = {}
        for (model, version, provenance, code, of), cell in self._requests.cells.items():
            if code in _NO_MODEL or (tenant and of != tenant):
                continue
            statistics = found.setdefault((model, version), ModelStatistics(model, version))
            if code != "ok":
                _more(statistics.inference_stats.fail, cell.count, _ns(cell.sum))
            else:
                self._add(statistics, provenance, cell, is_run=bool(tenant) or provenance in self._remote)
        for (model, version, size), ran in () if tenant else sorted(self._runs.cells.items()):
            statistics = found.setdefault((model, version), ModelStatistics(model, version))
            if not self._remote:
                # Where no other process answers, every row is one that a model has seen here.
                statistics.inference_count += size * ran.count
            _ran(statistics, size, ran)
        return Counted(found.values())

    def tenants(self) -> set[str]:
        """Return the tenants of whom anything is counted; where no policy is there are none."""
        return {tenant for *_, tenant in self._requests.cells if tenant and self._remote}

    def _add(self, found: ModelStatistics, provenance: str, cell: RequestCell, *, is_run: bool) -> None:
        stats, ns = found.inference_stats, _ns(cell.sum)
        _more(stats.success, cell.count, ns)
        _more(stats.queue, cell.count, 0)
        found.last_inference = max(found.last_inference, int(cell.last_s * 1000))
        if provenance in _CACHES:
            _more(stats.cache_hit, cell.count, ns)
            return
        if self._is_cached(found.name):
            stats.cache_miss.count += cell.count
        for duration in (stats.compute_input, stats.compute_infer, stats.compute_output):
            duration.count += cell.count
        if self._remote or is_run:
            found.inference_count += cell.count + cell.more_rows
        if is_run:
            found.execution_count += cell.count
            stats.compute_infer.ns += ns
            batch = _batch(found, 1)
            _more(batch.compute_input, cell.count, 0)
            _more(batch.compute_infer, cell.count, ns)
            _more(batch.compute_output, cell.count, 0)


def _ran(found: ModelStatistics, size: int, ran: RunCell) -> None:
    found.execution_count += ran.count
    stats, batch = found.inference_stats, _batch(found, size)
    stats.queue.ns += _ns(ran.queued_s)
    stats.compute_input.ns += _ns(ran.all_input_s)
    stats.compute_infer.ns += _ns(ran.all_infer_s)
    stats.compute_output.ns += _ns(ran.all_output_s)
    _more(batch.compute_input, ran.count, _ns(ran.input_s))
    _more(batch.compute_infer, ran.count, _ns(ran.infer_s))
    _more(batch.compute_output, ran.count, _ns(ran.output_s))


def _batch(found: ModelStatistics, size: int) -> BatchStatistics:
    """Return the statistics of runs with ``size`` rows, which are part of ``found``."""
    for batch in found.batch_stats:
        if batch.batch_size == size:
            return batch
    batch = BatchStatistics(size)
    found.batch_stats = [*found.batch_stats, batch]
    return batch


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _more(duration: Duration, count: int, ns: int) -> None:
    duration.count += count
    duration.ns += ns


_: type[TenantStatistics] = Tallies
