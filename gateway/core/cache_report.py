"""What a gateway says of its caches, and how what several processes say becomes one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.core.cache_levels import LEVEL_NAMES
from gateway.core.request import STALE

GIVEN: Final = frozenset({"hit", "early"})
"""Outcomes of a look-up that gave a fresh answer."""

CACHED: Final = frozenset({*LEVEL_NAMES, STALE})
"""Provenances, in one word, of answers that nobody computed for the request."""


class LevelReport(msgspec.Struct, frozen=True):
    """One level.

    ``state``: in each process, in words. ``lookups``: by outcome, since the start and of the last minute;
    ``hit_ratio``: the part of them that gave a fresh answer, None: there were none. ``entries``, ``bytes``
    and ``max_bytes``: None where the level is not in the process. ``evictions``: by cause, entries. ``lost``:
    answers that it did not take, by reason; ``closed``: connections given up, by reason. ``holders``: bytes
    by holder, those of the largest. ``estimates``: hit ratios that other sizes would have, where known.
    """

    level: str
    state: tuple[str, ...] = ()
    lookups: Mapping[str, int] = {}
    recent_lookups: Mapping[str, int] = {}
    hit_ratio: float | None = None
    recent_hit_ratio: float | None = None
    entries: int | None = None
    bytes: int | None = None
    max_bytes: int | None = None
    evictions: Mapping[str, int] = {}
    lost: Mapping[str, int] = {}
    closed: Mapping[str, int] = {}
    holders: Mapping[str, int] = {}
    estimates: Mapping[str, float] = {}

    def rated(self) -> LevelReport:
        """Return it with the ratios of its look-ups."""
        return msgspec.structs.replace(
            self, hit_ratio=hit_ratio(self.lookups), recent_hit_ratio=hit_ratio(self.recent_lookups)
        )


class AnswersReport(msgspec.Struct, frozen=True):
    """The answers of one model to one tenant; the tenant is empty where nobody was identified.

    ``by``: how many came from where, as provenance has it in one word. ``hit_ratio``: the part that came out
    of a cache.
    """

    model: str
    tenant: str
    answers: int
    by: Mapping[str, int]
    hit_ratio: float


class CacheReport(msgspec.Struct, frozen=True):
    """All caches of a gateway.

    ``enabled``: whether its settings have any. ``processes``: how many are added up. ``answers``: all, by
    where they came from, since the start. ``flights``: misses under way (``running``), requests that wait
    for them (``waiting``), and those that did since the start (``joined``). ``refreshes``: early ones under
    way. ``gates``: the state of the breaker before each place outside, as ``closed``, of all processes.
    ``top``: the models and tenants with the most answers.
    """

    enabled: bool = False
    processes: int = 1
    answers: Mapping[str, int] = {}
    hit_ratio: float | None = None
    levels: tuple[LevelReport, ...] = ()
    flights: Mapping[str, int] = {}
    refreshes: int = 0
    gates: Mapping[str, str] = {}
    top: tuple[AnswersReport, ...] = ()


def hit_ratio(outcomes: Mapping[str, int], given: frozenset[str] = GIVEN) -> float | None:
    """Return which part of ``outcomes`` is among ``given``; None: there were none."""
    total = sum(outcomes.values())
    return sum(count for outcome, count in outcomes.items() if outcome in given) / total if total else None


def answers_report(model: str, tenant: str, by: Mapping[str, int]) -> AnswersReport:
    """Return the report of answers ``by`` provenance."""
    return AnswersReport(model, tenant, sum(by.values()), by, hit_ratio(by, CACHED) or 0.0)


def most(answers: Iterable[AnswersReport], count: int) -> tuple[AnswersReport, ...]:
    """Return the ``count`` with the most answers."""
    ranked = sorted(answers, key=lambda each: (-each.answers, each.model, each.tenant))
    return tuple(ranked[:count])


def merged(reports: Sequence[CacheReport], top: int) -> CacheReport:
    """Add up what processes of one gateway say; ``top``: how many models and tenants are named."""
    answers = added(report.answers for report in reports)
    levels = [level for report in reports for level in report.levels]
    names = dict.fromkeys(level.level for level in levels)
    pairs: dict[tuple[str, str], list[Mapping[str, int]]] = {}
    for each in (row for report in reports for row in report.top):
        pairs.setdefault((each.model, each.tenant), []).append(each.by)
    return CacheReport(
        enabled=any(report.enabled for report in reports),
        processes=sum(report.processes for report in reports),
        answers=answers,
        hit_ratio=hit_ratio(answers, CACHED),
        levels=tuple(_merged([level for level in levels if level.level == name]) for name in names),
        flights=added(report.flights for report in reports),
        refreshes=sum(report.refreshes for report in reports),
        gates=_gates(report.gates for report in reports),
        top=most((answers_report(*pair, added(found)) for pair, found in pairs.items()), top),
    )


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name."""
    sums: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            sums[name] = sums.get(name, 0) + count
    return sums


def _merged(levels: Sequence[LevelReport]) -> LevelReport:
    return LevelReport(
        level=levels[0].level,
        state=tuple(state for level in levels for state in level.state),
        lookups=added(level.lookups for level in levels),
        recent_lookups=added(level.recent_lookups for level in levels),
        entries=_sum(level.entries for level in levels),
        bytes=_sum(level.bytes for level in levels),
        max_bytes=_sum(level.max_bytes for level in levels),
        evictions=added(level.evictions for level in levels),
        lost=added(level.lost for level in levels),
        closed=added(level.closed for level in levels),
        holders=added(level.holders for level in levels),
        estimates=_means([level.estimates for level in levels]),
    ).rated()


def _sum(numbers: Iterable[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _means(estimates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of what processes with the same traffic and memory estimate, each for itself."""
    names = dict.fromkeys(name for each in estimates for name in each)
    return {
        name: sum(each[name] for each in estimates if name in each) / sum(name in each for each in estimates)
        for name in names
    }


def _gates(found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    states: dict[str, set[str]] = {}
    for each in found:
        for name, state in each.items():
            states.setdefault(name, set()).add(state)
    return {name: ", ".join(sorted(each)) for name, each in states.items()}
