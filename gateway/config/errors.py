"""What is wrong with a file of settings or a policy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.core.spelling import shown

_MOST: Final = 2_000
"""Characters of one message: a file's own text may stand in it."""


class ConfigError(Exception):
    """A file that cannot be used. ``str()`` is ``FILE:LINE:COLUMN: FIELD: what is wrong``.

    ``others``: what else is wrong with it; ``str()`` has their number, ``each`` all of them.
    """

    def __init__(
        self,
        file: Path,
        message: str,
        *,
        line: int = 0,
        column: int = 0,
        field: str = "",
        others: Sequence[ConfigError] = (),
    ) -> None:
        position = f":{line}:{column}" if line and column else f":{line}" if line else ""
        self.text = ": ".join(part for part in (f"{file}{position}", field, shown(message, _MOST)) if part)
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(self.text + more)
        self.file, self.line, self.column, self.field, self.message = file, line, column, field, message
        self.others = tuple(others)

    @property
    def each(self) -> tuple[str, ...]:
        """All that is wrong, each as a person reads it."""
        return (self.text, *(other.text for other in self.others))
