"""How this project measures: all sides in turn, in one run, as ratios of what each round gave."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Sample = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure. ``calls``: of a gRPC load; ``million``: requests after which memory is compared;
    ``connections``: that stand idle meanwhile."""

    rounds: int = 5
    seconds: int = 3
    calls: int = 40_000
    million: int = 1_000_000
    connections: int = 2_000


THOROUGH = Effort()
QUICK = Effort(rounds=1, seconds=1, calls=2_000, million=20_000, connections=200)
"""Enough to see that a case works; its figures mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a case is given: a ``folder`` of its own, the folder of the installed ``peers``, and how long."""

    folder: Path
    peers: Path
    effort: Effort = THOROUGH


def cores() -> tuple[int, int]:
    """Return two cores: one for what is measured, one for what makes the load (the same if there is one)."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def spare_core() -> int | None:
    """Return a core that is neither of ``cores``; None where there is none."""
    return next((core for core in sorted(os.sched_getaffinity(0)) if core not in cores()), None)


def in_turn(sides: Mapping[str, Sample], rounds: int) -> dict[str, list[float]]:
    """Run every side once to warm up, then all sides ``rounds`` times, one after the other."""
    for sample in sides.values():
        sample()
    values: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, sample in sides.items():
            values[name].append(sample())
    return values
