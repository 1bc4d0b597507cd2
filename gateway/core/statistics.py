"""The work that a server has done, per model and version: the protocol's statistics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

OTHER: Final = "other"
"""Under which all models are counted whose names only clients know."""

Spans = TypeVar("Spans", bound="InferStatistics | BatchStatistics")


class Duration(msgspec.Struct):
    """``count`` events took ``ns`` nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        """Add ``count`` events of ``seconds`` each."""
        self.count += count
        self.ns += int(seconds * 1e9) * count


def _duration() -> Duration:
    return Duration()


class InferStatistics(msgspec.Struct):
    """Of requests. ``cache_miss`` has no time: that of a look-up is part of what follows it."""

    success: Duration = msgspec.field(default_factory=_duration)
    fail: Duration = msgspec.field(default_factory=_duration)
    queue: Duration = msgspec.field(default_factory=_duration)
    compute_input: Duration = msgspec.field(default_factory=_duration)
    compute_infer: Duration = msgspec.field(default_factory=_duration)
    compute_output: Duration = msgspec.field(default_factory=_duration)
    cache_hit: Duration = msgspec.field(default_factory=_duration)
    cache_miss: Duration = msgspec.field(default_factory=_duration)


class BatchStatistics(msgspec.Struct):
    """Of runs with ``batch_size`` rows."""

    batch_size: int
    compute_input: Duration = msgspec.field(default_factory=_duration)
    compute_infer: Duration = msgspec.field(default_factory=_duration)
    compute_output: Duration = msgspec.field(default_factory=_duration)


class ModelStatistics(msgspec.Struct):
    """Of one version of one model since the server began.

    ``last_inference``: milliseconds since the Unix epoch, 0 for never. ``inference_count``: rows that a
    model computed. ``execution_count``: its runs.
    """

    name: str
    version: str
    last_inference: int = 0
    inference_count: int = 0
    execution_count: int = 0
    inference_stats: InferStatistics = msgspec.field(default_factory=InferStatistics)
    response_stats: dict[str, InferStatistics] = {}
    batch_stats: list[BatchStatistics] = []
    memory_usage: list[str] = []


class Counted:
    """What was counted, per model and version: ``parts``, those of one version added up.

    What failed before it was known by which version has an empty one. Parts are not changed.
    """

    def __init__(self, parts: Iterable[ModelStatistics] = ()) -> None:
        self._found: dict[tuple[str, str], ModelStatistics] = {}
        for part in parts:
            key = (part.name, part.version)
            self._found[key] = _sum(self._found[key], part) if key in self._found else part

    def __repr__(self) -> str:
        return f"<Counted {' '.join(self.models()) or 'nothing'}>"

    def parts(self) -> list[ModelStatistics]:
        """Return what was counted of each version."""
        return list(self._found.values())

    def models(self) -> Sequence[str]:
        """Return the models that did anything."""
        return list(dict.fromkeys(model for model, _ in self._found))

    def report(self, model: str, versions: Sequence[str], *, only: str = "") -> Sequence[ModelStatistics]:
        """Return the statistics of ``versions`` of ``model`` and of all that were seen, or of ``only`` one.

        There are zeros for those that did nothing yet. What failed before it was known by which version
        belongs to the highest one.
        """
        seen = [version for name, version in self._found if name == model and version]
        wanted = [only] if only else list(dict.fromkeys((*versions, *seen))) or [""]
        reports = [self._found.get((model, version)) or ModelStatistics(model, version) for version in wanted]
        early = self._found.get((model, ""))
        if early is not None and "" not in wanted:
            highest = max(range(len(wanted)), key=lambda place: _number(wanted[place]))
            reports[highest] = _sum(reports[highest], early)
        return reports


class Statistics(Protocol):
    """What has been counted, of one process or of several as one."""

    async def counted(self, tenant: str = "") -> Counted:
        """Return what was counted until now: of everybody, or of one tenant's requests."""
        ...


class TenantStatistics(Statistics, Protocol):
    """What has been counted in this process, of whom."""

    def tenants(self) -> Collection[str]:
        """Return the tenants of whom anything is counted."""
        ...


def _sum(one: ModelStatistics, other: ModelStatistics) -> ModelStatistics:
    """Return both as one, under the name and version of the first."""
    batches = {batch.batch_size: batch for batch in one.batch_stats}
    for batch in other.batch_stats:
        known = batches.get(batch.batch_size)
        batches[batch.batch_size] = batch if known is None else _fields_summed(known, batch)
    return ModelStatistics(
        one.name,
        one.version,
        max(one.last_inference, other.last_inference),
        one.inference_count + other.inference_count,
        one.execution_count + other.execution_count,
        _fields_summed(one.inference_stats, other.inference_stats),
        batch_stats=[batches[size] for size in sorted(batches)],
    )


def _fields_summed(one: Spans, other: Spans) -> Spans:
    """Add up every Duration; other fields are those of ``one``."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in one.__struct_fields__}
    return msgspec.structs.replace(
        one,
        **{
            name: Duration(mine.count + theirs.count, mine.ns + theirs.ns)
            for name, (mine, theirs) in pairs.items()
            if isinstance(mine, Duration)
        },
    )


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdecimal() else 0
