"""How this project measures: both sides in turn, in one run, as ratios of medians."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

Sample = Callable[[], float]


def cores() -> tuple[int, int]:
    """Return two cores: one for what is measured, one for what makes the load (the same if there is one)."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[-1]


def in_turn(sides: Mapping[str, Sample], rounds: int) -> dict[str, list[float]]:
    """Run every side once to warm up, then all sides ``rounds`` times, one after the other."""
    for sample in sides.values():
        sample()
    values: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, sample in sides.items():
            values[name].append(sample())
    return values


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the median with its range."""
    ordered = sorted(values)
    return {
        "median": round(median(ordered), 2),
        "min": round(ordered[0], 2),
        "max": round(ordered[-1], 2),
        "rounds": len(ordered),
    }
