"""Whether a worker whose heartbeats stay out stands still, or only gets no time from its machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

BEAT_S: Final = 0.25
"""A worker that serves sends a heartbeat so often."""

MISSED: Final = 6
"""So many heartbeats in a row are missed before a worker may stand still: it is noticed within 2 s."""

MISSED_AT_MOST: Final = 40
"""So many are missed where the machine may be at fault: it is overloaded, or waits for a disk."""

_BUSY_S: Final = 0.75
"""So much of a processor no healthy worker uses between two heartbeats."""

_STOPPED, _WAITING = "T", "SI"
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class Sight(NamedTuple):
    """A process as the kernel sees its main thread. ``state``: as in ``ps``. ``cpu_s``: used so far."""

    state: str
    cpu_s: float


def look_at(process: int, proc: Path = Path("/proc")) -> Sight | None:
    """Return how ``process`` is; None where that cannot be seen."""
    try:
        text = (proc / str(process) / "task" / str(process) / "stat").read_text()
        # The name before it may hold anything, brackets and blanks too.
        fields = text.rpartition(")")[2].split()
        return Sight(fields[0], (int(fields[11]) + int(fields[12])) / _TICKS_PER_S)
    except (OSError, ValueError, IndexError):
        return None


def why_still(missed: int, before: Sight | None, now: Sight | None, *, has_begun: bool = True) -> str:
    """Return why a worker counts as standing still; empty: it does not.

    Args:
        missed: how many heartbeats in a row it has missed.
        before: how it was when it missed the first.
        now: how it is.
        has_begun: it had heartbeats once; one that loads its models has none yet.
    """
    if missed < MISSED:
        return ""
    if now is not None and now.state == _STOPPED:
        return "it is stopped"
    if has_begun and now is not None and now.state in _WAITING:
        return "it waits for something that does not come"
    # One that could run, while others take its time, does not stand still.
    used_s = now.cpu_s - before.cpu_s if now is not None and before is not None else 0.0
    if has_begun and used_s >= _BUSY_S:
        return "it is busy with something that does not end"
    return f"no heartbeat for {missed * BEAT_S:g} s" if has_begun and missed >= MISSED_AT_MOST else ""
