"""What the linter finds in a policy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.spelling import unknown as unknown  # noqa: PLC0414 - what most problems say

Path = tuple[str | int, ...]


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
