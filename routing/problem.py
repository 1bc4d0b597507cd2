"""What the linter finds in a policy."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from typing import Final

Path = tuple[str | int, ...]

_COMPARED: Final = 64
_LONGEST: Final = 256
"""Characters of a name that others are compared with."""


class Severity(StrEnum):
    """An error keeps a policy from coming into force, a warning is only reported; a note is good to know."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """``rule`` is a stable id: EW1xx are errors, EW2xx warnings, EW3xx notes.

    ``path`` leads to the value at fault.
    """

    rule: str
    path: Path
    message: str

    @property
    def severity(self) -> Severity:
        """How bad it is, by the id."""
        if self.rule.startswith("EW3"):
            return Severity.NOTE
        return Severity.ERROR if self.rule.startswith("EW1") else Severity.WARNING


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such name, and which one may have been meant."""
    names, backwards = _sorted(tuple(known))
    close = get_close_matches(name, _near(name, names, backwards), 1) if len(name) <= _LONGEST else []
    if close:
        return f"unknown {kind} '{name}'; did you mean '{close[0]}'?"
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"unknown {kind} '{name}'; known: {listed or 'none'}"


@lru_cache(maxsize=2)
def _sorted(known: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the names in order, and in the order of their ends, backwards; remembered for the next one."""
    return sorted(known), sorted(name[::-1] for name in known)


def _near(name: str, names: Sequence[str], backwards: Sequence[str]) -> Collection[str]:
    """Return the few of the sorted ``names`` that begin or end most like ``name``.

    Comparing is slow, and a large policy may be wrong in a thousand places.
    """
    if len(names) <= _COMPARED:
        return names
    ends = (other[::-1] for other in _around(name[::-1], backwards))
    return {*_around(name, names), *ends}


def _around(name: str, names: Sequence[str]) -> Sequence[str]:
    middle = bisect(names, name)
    return names[max(0, middle - _COMPARED // 4) : middle + _COMPARED // 4]
