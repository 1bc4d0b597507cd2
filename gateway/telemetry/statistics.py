"""Events to the protocol's statistics, per model and version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from gateway.core.statistics import BatchStatistics, Duration, ModelStatistics, Statistics
from gateway.core.telemetry import BatchRan, Event, Telemetry
from gateway.telemetry.requests import Cell, Requests

_STRANGE: Final = frozenset({"not_found", "unauthenticated", "forbidden"})
_CACHES: Final = frozenset({"l1", "l2", "stale"})


class Tallies:
    """Telemetry that keeps the statistics of models.

    Args:
        requests: what is counted of every request.
        remote: provenances of answers that another process computed; each counts as a run of its model
            that took as long as the request did.
        is_cached: whether answers of a model may come from a cache, so that another one is a miss.
    """

    def __init__(
        self,
        requests: Requests,
        *,
        remote: Collection[str] = (),
        is_cached: Callable[[str], bool] = lambda _model: False,
    ) -> None:
        self._requests = requests
        self._remote = frozenset(remote)
        self._is_cached = is_cached
        self._ran_here: dict[tuple[str, str], ModelStatistics] = {}
        self._batches: dict[tuple[str, str, int], BatchStatistics] = {}

    def __repr__(self) -> str:
        return f"<Tallies of {len(self._ran_here)} model versions that ran here>"

    def emit(self, event: Event) -> None:
        """Count a run; requests are counted by ``requests``."""
        if type(event) is BatchRan:
            self._count(self._ran(event.model, event.version), event)

    def models(self) -> Sequence[str]:
        """Return the models that did anything."""
        return list(dict.fromkeys(model for model, _ in self._all()))

    def report(self, model: str, versions: Sequence[str]) -> Sequence[ModelStatistics]:
        """Return the statistics of ``versions`` of ``model``, or of all versions seen when none is named.

        What failed before it was known by which version belongs to the highest one.
        """
        found = self._all()
        seen = [version for name, version in found if name == model and version]
        wanted = list(dict.fromkeys(versions or seen or [""]))
        reports = [found.get((model, version)) or ModelStatistics(model, version) for version in wanted]
        early = found.get((model, ""))
        if early is not None and "" not in wanted:
            highest = max(range(len(wanted)), key=lambda place: _number(wanted[place]))
            reports[highest] = _joined(reports[highest], early)
        return reports

    def _all(self) -> dict[tuple[str, str], ModelStatistics]:
        """Put requests and runs together."""
        found: dict[tuple[str, str], ModelStatistics] = {}
        for (model, version, provenance, code), cell in self._requests.cells.items():
            if code in _STRANGE:
                continue
            key = (model, version)
            asked = found.setdefault(key, ModelStatistics(model, version))
            self._add(asked, provenance, cell, is_ok=code == "ok")
        for key, ran in self._ran_here.items():
            found[key] = _joined(ran, found[key]) if key in found else ran
        return found

    def _add(self, asked: ModelStatistics, provenance: str, cell: Cell, *, is_ok: bool) -> None:
        stats, ns = asked.inference_stats, int(cell.sum * 1e9)
        if not is_ok:
            _more(stats.fail, cell.count, ns)
            return
        _more(stats.success, cell.count, ns)
        asked.last_inference = max(asked.last_inference, int(cell.last_s * 1000))
        if provenance in _CACHES:
            _more(stats.cache_hit, cell.count, ns)
            return
        if self._is_cached(asked.name):
            stats.cache_miss.count += cell.count
        if provenance in self._remote:
            asked.inference_count += cell.count
            asked.execution_count += cell.count
            batch = BatchStatistics(1)
            for durations in (stats, batch):
                _more(durations.compute_input, cell.count, 0)
                _more(durations.compute_infer, cell.count, ns)
                _more(durations.compute_output, cell.count, 0)
            _more(stats.queue, cell.count, 0)
            asked.batch_stats = [*asked.batch_stats, batch]

    def _ran(self, model: str, version: str) -> ModelStatistics:
        # Only models of this process run here: their names are the operator's.
        found = self._ran_here.get((model, version))
        if found is None:
            found = self._ran_here[model, version] = ModelStatistics(model, version)
        return found

    def _count(self, found: ModelStatistics, event: BatchRan) -> None:
        found.inference_count += event.size
        found.execution_count += 1
        stats, requests = found.inference_stats, event.requests
        infer_s = max(0.0, event.run_s - event.input_s - event.output_s)
        stats.queue.count += requests
        stats.queue.ns += int(event.queued_s * 1e9)
        stats.compute_input.add(event.input_s, requests)
        stats.compute_infer.add(infer_s, requests)
        stats.compute_output.add(event.output_s, requests)
        key = (found.name, found.version, event.size)
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = BatchStatistics(event.size)
            found.batch_stats = sorted((*found.batch_stats, batch), key=lambda each: each.batch_size)
        batch.compute_input.add(event.input_s)
        batch.compute_infer.add(infer_s)
        batch.compute_output.add(event.output_s)


def _more(duration: Duration, count: int, ns: int) -> None:
    duration.count += count
    duration.ns += ns


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdecimal() else 0


def _joined(found: ModelStatistics, early: ModelStatistics) -> ModelStatistics:
    joined = ModelStatistics(
        found.name,
        found.version,
        max(found.last_inference, early.last_inference),
        found.inference_count + early.inference_count,
        found.execution_count + early.execution_count,
        batch_stats=[*found.batch_stats, *early.batch_stats],
    )
    for name in joined.inference_stats.__struct_fields__:
        sum_ = getattr(joined.inference_stats, name)
        for part in (found, early):
            duration = getattr(part.inference_stats, name)
            sum_.count += duration.count
            sum_.ns += duration.ns
    return joined


_: tuple[type[Telemetry], type[Statistics]] = (Tallies, Tallies)
