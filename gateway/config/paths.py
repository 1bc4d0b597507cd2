"""Where in a file a value stands, as people write it: ``routes[0].match.model``."""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.core.spelling import shown

Path_ = tuple[str | int, ...]

_LONGEST: Final = 64
_WORD: Final = re.compile(r"[A-Za-z0-9._-]+")


def spell(path: Path_, values: Any = None) -> str:
    """Write a path as people do; a list's item with its name, if ``values``, those of the file, have one."""
    text = ""
    for step in path:
        values = _below(values, step)
        if isinstance(step, int):
            name = values.get("name") if isinstance(values, dict) else None
            text += f"[{step}]" + (f' ("{shown(name, _LONGEST)}")' if isinstance(name, str) else "")
        else:
            text += "." + (step if _is_word(step) else f'"{shown(step, _LONGEST)}"')
    return text.removeprefix(".")


def _is_word(step: str) -> bool:
    return len(step) <= _LONGEST and _WORD.fullmatch(step) is not None


def _below(values: Any, step: str | int) -> Any:
    if isinstance(step, int):
        return values[step] if isinstance(values, list) and step < len(values) else None
    return values.get(step) if isinstance(values, dict) else None
