"""What the linter says about a policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

Path = tuple[str | int, ...]


class Severity(StrEnum):
    """An error keeps a policy from coming into force; a warning is only told."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """``rule`` is a stable id: EW1xx are errors, EW2xx warnings. ``path`` leads to the value at fault."""

    rule: str
    path: Path
    message: str

    @property
    def severity(self) -> Severity:
        """How bad it is; the id tells."""
        return Severity.ERROR if self.rule.startswith("EW1") else Severity.WARNING


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such name, and which one may have been meant."""
    names = sorted(known)
    close = get_close_matches(name, names, 1)
    if close:
        return f"unknown {kind} '{name}'; did you mean '{close[0]}'?"
    listed = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
    return f"unknown {kind} '{name}'; known: {listed or 'none'}"
