"""What to do about text that is not YAML, beside what the parser says of it."""

from __future__ import annotations

from typing import Final

import yaml  # noqa: TID251 - its errors

_ADVICE: Final = (
    ("mapping values are not allowed", "a text with ': ' in it needs quotes; else look at the indentation"),
    (
        "did not find expected key",
        "look at the indentation, and for a quote or bracket that is not closed above",
    ),
    ("could not find expected ':'", "write `name: value`, with a space behind the colon"),
    ("did not find expected ',' or", "close the bracket, or separate the entries with commas"),
    ("did not find expected node content", "an entry between brackets is empty: take a comma or bracket out"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("found unknown escape character", "in double quotes a backslash begins an escape: use single quotes"),
    ("block sequence entries are not allowed", "put the list in lines of its own, each `- value`"),
    ("block collections are not allowed", "put what follows in a line of its own"),
    ("did not find expected '-' indicator", "look at the indentation of this list"),
    ("did not find expected alphabetic", "a text that begins with '*' or '&' needs quotes"),
)
_QUOTED: Final = frozenset("@`%")


def explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return what is wrong, where it begins if that is further up, and what to do."""
    begins, mark = error.context_mark, error.problem_mark
    where = ""
    if begins is not None and mark is not None and begins.line < mark.line:
        where = f" ({error.context}, which begins in line {begins.line + 1})"
    advice = _advice(error.problem or "", text[mark.index : mark.index + 1] if mark is not None else "")
    return f"{error.problem}{where}" + (f": {advice}" if advice else "")


def _advice(problem: str, character: str) -> str:
    if "cannot start any token" in problem and character == "\t":
        return "a tab; YAML is indented with spaces"
    if "cannot start any token" in problem and character in _QUOTED:
        return f"a text that begins with '{character}' needs quotes"
    return next((what for beginning, what in _ADVICE if problem.startswith(beginning)), "")
