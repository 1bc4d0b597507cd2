"""Events to the protocol's statistics, per model and version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

from gateway.core.statistics import BatchStatistics, ModelStatistics, Statistics
from gateway.core.telemetry import BatchRan, Event, RequestFinished, Telemetry

MAX_MODELS: Final = 1024
"""Names come from clients: failures of more models than this are not counted."""

_STRANGE: Final = frozenset({"not_found", "unauthenticated", "forbidden"})
_CACHES: Final = frozenset({"l1", "l2", "stale"})


class Tallies:
    """Telemetry that keeps the statistics of models.

    Args:
        wall: the time of day, in seconds since the Unix epoch.
        remote: provenances of answers that another process computed; each counts as a run of its model
            that took as long as the request did.
        is_cached: whether answers of a model may come from a cache, so that another one is a miss.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        *,
        remote: Collection[str] = (),
        is_cached: Callable[[str], bool] = lambda _model: False,
    ) -> None:
        self._wall = wall
        self._remote = frozenset(remote)
        self._is_cached = is_cached
        self._found: dict[tuple[str, str], ModelStatistics] = {}
        self._batches: dict[tuple[str, str, int], BatchStatistics] = {}

    def __repr__(self) -> str:
        return f"<Tallies of {len(self._found)} model versions>"

    def emit(self, event: Event) -> None:
        """Count ``event``."""
        if type(event) is RequestFinished:
            self._finished(event)
        elif type(event) is BatchRan:
            self._ran(event)

    def models(self) -> Sequence[str]:
        """Return the models that did anything."""
        return list(dict.fromkeys(model for model, _ in self._found))

    def report(self, model: str, versions: Sequence[str]) -> Sequence[ModelStatistics]:
        """Return the statistics of ``versions`` of ``model``, or of all versions seen when none is named.

        What failed before it was known by which version belongs to the highest one.
        """
        seen = [version for name, version in self._found if name == model and version]
        wanted = list(dict.fromkeys(versions or seen or [""]))
        reports = [self._found.get((model, version)) or ModelStatistics(model, version) for version in wanted]
        early = self._found.get((model, ""))
        if early is not None and "" not in wanted:
            highest = max(range(len(wanted)), key=lambda place: _number(wanted[place]))
            reports[highest] = _joined(reports[highest], early)
        return reports

    def _finished(self, event: RequestFinished) -> None:
        if event.code != "ok":
            if event.code not in _STRANGE and (found := self._of(event.model, event.version)) is not None:
                found.inference_stats.fail.add(event.seconds)
            return
        found = self._of(event.model, event.version)
        if found is None:
            return
        seconds, stats = event.seconds, found.inference_stats
        stats.success.add(seconds)
        found.last_inference = int(self._wall() * 1000)
        if event.provenance in _CACHES:
            stats.cache_hit.add(seconds)
            return
        if self._is_cached(event.model):
            stats.cache_miss.count += 1
        if event.provenance in self._remote:
            self._count(found, BatchRan(event.model, 1, 1, 0.0, seconds, event.version))

    def _ran(self, event: BatchRan) -> None:
        found = self._of(event.model, event.version)
        if found is not None:
            self._count(found, event)

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

    def _of(self, model: str, version: str) -> ModelStatistics | None:
        found = self._found.get((model, version))
        if found is None and len(self._found) < MAX_MODELS:
            found = self._found[model, version] = ModelStatistics(model, version)
        return found


class Several:
    """Telemetry that hands every event to several."""

    def __init__(self, *sinks: Telemetry) -> None:
        self._emits = tuple(sink.emit for sink in sinks)
        self._sinks = sinks

    def __repr__(self) -> str:
        return f"<Several {self._sinks!r}>"

    def emit(self, event: Event) -> None:
        """Hand the event on."""
        for emit in self._emits:
            emit(event)


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


_: tuple[type[Telemetry], type[Telemetry], type[Statistics]] = (Tallies, Several, Tallies)
