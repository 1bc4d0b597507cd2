"""What a server tells of the work it has done, per model and version: the protocol's statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


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
    """Of requests. ``cache_miss`` has no time: a look-up that fails is not told apart from what follows."""

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
    """Of one version of one model since the process began.

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


class Statistics(Protocol):
    """Knows what was done."""

    def report(self, model: str, versions: Sequence[str]) -> Sequence[ModelStatistics]:
        """Return the statistics of ``versions`` of ``model``, zeros for those that did nothing yet."""
        ...

    def models(self) -> Sequence[str]:
        """Return the models that did anything."""
        ...
