"""Counting the rows of a run, and the promises that the result must keep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gateway.commands.demo.player import Row
from gateway.core.cache_levels import LEVEL_NAMES
from gateway.core.request import CENTRAL, EDGE, STALE
from gateway.core.tensor import Array

LEVELS: Final = (*LEVEL_NAMES, EDGE, CENTRAL, STALE)
GRACE_S: Final = 1.0
"""After a gateway was killed its clients may see errors for this long."""


@dataclass(frozen=True, slots=True)
class Outage:
    """Something was down from ``began`` to ``ended`` (monotonic seconds). ``region`` empty: central.

    ``restarted``: when it was started again; from then on it may answer, before it is seen to be ready.
    """

    phase: str
    region: str
    began: float
    ended: float
    restarted: float = math.inf


@dataclass(frozen=True, slots=True)
class Truth:
    """What the answers are compared with: labels, and what the central model alone says, by image."""

    labels: Array
    central: Array


@dataclass(slots=True)
class Tally:
    """The demo's result, field by field as ``out/demo.json`` has it."""

    requests: int
    failed: int
    per_region: dict[str, int]
    answered_by: dict[str, int]
    edge_share_of_computed: float
    cache_hit_rate: float
    accuracy: float
    accuracy_central_alone: float
    disagreement_with_central: float
    uncertified: int
    p50_ms: dict[str, float]
    p95_ms: dict[str, float]
    p99_ms: dict[str, float]
    requests_per_phase: dict[str, int]
    failover: dict[str, float]
    policy_generation: int = 0
    per_replica: dict[str, int] = field(default_factory=dict)
    broken_promises: list[str] = field(default_factory=list)


def tally(rows: Sequence[Row], outages: Sequence[Outage], truth: Truth) -> Tally:
    """Count the rows of all players.

    Accuracy and disagreement are per answer, so a popular image counts as often as it was requested;
    ``accuracy_central_alone`` is counted the same way.
    """
    good = [row for row in rows if not row.error]
    answered = Counter(row.provenance for row in good)
    computed = answered[EDGE] + answered[CENTRAL]
    cached = sum(answered[level] for level in (*LEVEL_NAMES, STALE))
    images = np.array([row.image for row in good], dtype=int)
    predicted = np.array([row.predicted for row in good], dtype=int)
    latencies = _latencies(good, outages)
    result = Tally(
        requests=sum(row.attempt == 0 for row in rows),
        failed=len(rows) - len(good),
        per_region=dict(sorted(Counter(row.served_by for row in good).items())),
        answered_by={level: answered[level] for level in LEVELS},
        edge_share_of_computed=_share(answered["edge"], computed),
        cache_hit_rate=_share(cached, len(good)),
        accuracy=_mean(predicted == truth.labels[images]),
        accuracy_central_alone=_mean(truth.central[images] == truth.labels[images]),
        disagreement_with_central=_mean(predicted != truth.central[images]),
        uncertified=sum(not row.certified for row in good),
        p50_ms=_quantiles(latencies, 50),
        p95_ms=_quantiles(latencies, 95),
        p99_ms=_quantiles(latencies, 99),
        requests_per_phase={phase: len(values) for phase, values in latencies.items()},
        failover=_failover(rows, outages),
    )
    result.broken_promises = list(_broken(result, rows, outages))
    return result


def _latencies(good: Iterable[Row], outages: Sequence[Outage]) -> dict[str, list[float]]:
    latencies: dict[str, list[float]] = {phase: [] for phase in ("steady", *(o.phase for o in outages))}
    for row in good:
        latencies[_phase(row, outages)].append(1000 * (row.ended - row.began))
    return latencies


def _phase(row: Row, outages: Sequence[Outage]) -> str:
    return next((o.phase for o in outages if o.began <= row.began < o.ended), "steady")


def _quantiles(latencies: dict[str, list[float]], percent: float) -> dict[str, float]:
    return {
        phase: round(float(np.percentile(values, percent)), 3) if values else 0.0
        for phase, values in latencies.items()
    }


def _failover(rows: Iterable[Row], outages: Iterable[Outage]) -> dict[str, float]:
    """Return how long the clients of the killed gateway had no answer, and how many requests failed."""
    outage = next((o for o in outages if o.phase == "gateway_down"), None)
    if outage is None:
        return {"detected_ms": 0.0, "failed_requests": 0}
    theirs = [row for row in rows if row.player == outage.region and row.ended >= outage.began]
    moved = [row.ended for row in theirs if not row.error and row.served_by != outage.region]
    failed = sum(bool(row.error) and row.ended < outage.ended for row in theirs)
    detected = round(1000 * (min(moved) - outage.began), 1) if moved else -1.0
    return {"detected_ms": detected, "failed_requests": failed}


def _broken(result: Tally, rows: Sequence[Row], outages: Sequence[Outage]) -> Iterable[str]:
    """Name every promise that the run did not keep."""
    excused = [(o.began, o.began + GRACE_S) for o in outages if o.phase == "gateway_down"]
    errors = [row for row in rows if row.error and not any(a <= row.ended < b for a, b in excused)]
    if errors:
        first = errors[0]
        yield (
            f"{len(errors)} failed requests outside the {GRACE_S:g} s after the gateway was killed; "
            f"the first, in phase {_phase(first, outages)}: {first.error}"
        )
    unanswered = result.requests - sum(not row.error for row in rows)
    if unanswered:
        yield f"{unanswered} requests were never answered by any gateway"
    if result.accuracy < result.accuracy_central_alone - 0.02:
        central = result.accuracy_central_alone
        yield f"accuracy {result.accuracy:.4f} is more than 2 points under central's {central:.4f}"
    if result.cache_hit_rate < 0.85:
        yield f"cache hit rate {result.cache_hit_rate:.3f} is under 0.85"
    if result.edge_share_of_computed < 0.60:
        yield f"the edge computed {result.edge_share_of_computed:.3f} of what was computed, under 0.60"
    silent = sum(not row.error and row.provenance not in LEVELS for row in rows)
    if silent:
        yield f"{silent} answers did not say where they came from"
    yield from _lies(rows, outages)
    for outage in outages:
        if not result.requests_per_phase[outage.phase]:
            yield f"no request was answered in phase {outage.phase}"


def _lies(rows: Sequence[Row], outages: Sequence[Outage]) -> Iterable[str]:
    """Yield what the provenance of answers claimed while central was down, and what cannot be true."""
    for outage in outages:
        if outage.phase != "central_down":
            continue
        # What was under way when it went down may still have been answered by it.
        during = [row for row in rows if not row.error and outage.began + GRACE_S <= row.began < outage.ended]
        gone_until = min(outage.restarted, outage.ended)
        impossible = sum(row.provenance == "central" and row.ended < gone_until for row in during)
        if impossible:
            yield f"{impossible} answers claimed to come from central while it was down"
        if during and all(row.certified for row in during):
            yield "no answer said that it is uncertified while central was down"


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _mean(values: Array) -> float:
    return round(float(values.mean()), 4) if len(values) else 0.0
