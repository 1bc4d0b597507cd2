"""What Linux says about processes: CPU time and resident memory, children included."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024


class Stat(NamedTuple):
    """Of ``/proc/PID/stat``: whose child it is, and the CPU time in clock ticks, user's and system's."""

    pid: int
    parent: int
    ticks: int


def parse_stat(text: str) -> Stat:
    """Read a line of ``/proc/PID/stat``; the name in parentheses may hold anything, parentheses too."""
    pid, _, rest = text.partition(" (")
    fields = rest.rpartition(")")[2].split()
    return Stat(int(pid), int(fields[1]), int(fields[11]) + int(fields[12]))


def parse_resident(text: str) -> int:
    """Read bytes of resident memory from ``/proc/PID/status``.

    Raises:
        ValueError: it does not say; so with kernel threads and zombies.
    """
    for line in text.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * _KIB
    raise ValueError("no VmRSS")


def family(pid: int, stats: Iterable[Stat]) -> set[int]:
    """Return ``pid`` and all that descend from it."""
    children: dict[int, list[int]] = {}
    for stat in stats:
        children.setdefault(stat.parent, []).append(stat.pid)
    found, open_ = {pid}, [pid]
    while open_:
        new = [child for child in children.get(open_.pop(), ()) if child not in found]
        found.update(new)
        open_ += new
    return found


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process and its living children have used."""
    stats = list(_stats())
    kin = family(pid, stats)
    return sum(stat.ticks for stat in stats if stat.pid in kin) / _TICKS_PER_S


def resident_bytes(pid: int) -> int:
    """Return the resident memory of one process."""
    return parse_resident((PROC / str(pid) / "status").read_text())


def _stats() -> Iterator[Stat]:
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            try:
                yield parse_stat((folder / "stat").read_text())
            except OSError:
                continue  # it has ended meanwhile
