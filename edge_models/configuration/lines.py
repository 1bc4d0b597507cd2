"""Where in a text of protobuf's text format each field stands, which its parser does not keep."""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from google.protobuf import text_encoding

_PIECE: Final = re.compile(
    r"""
    \#[^\n]*
    | (?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    | (?P<mark>[{}<>\[\]:,;])
    | (?P<word>[^\s{}<>\[\]:,;"'\#]+)
    """,
    re.VERBOSE,
)
_KEY: Final = "key"

Step = str | tuple[str, int | str]
"""A field's name; with it, where there may be several, which one: its number from 0, or a map's key."""


@dataclass(slots=True)
class FieldLine:
    """A field, the line at which it begins (from 1), and the fields in it, in the order of the text."""

    name: str
    line: int
    value: str = ""
    fields: list[FieldLine] = field(default_factory=list)
    _found: dict[str, dict[int | str, FieldLine]] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<FieldLine {self.name or 'all'} at {self.line}, {len(self.fields)} fields>"

    def find(self, *path: Step) -> int:
        """Return the line of a field: ``find(("input", 1), "dims")``, ``find(("parameters", "threads"))``.

        What is not there has the line of what it would stand in.
        """
        at = self
        for step in path:
            name, which = step if isinstance(step, tuple) else (step, 0)
            chosen = at._named(name).get(which)
            if chosen is None:
                return at.line
            at = chosen
        return at.line

    def _named(self, name: str) -> dict[int | str, FieldLine]:
        """Return the fields of that name, by their numbers and by their keys; of a key the last counts."""
        found = self._found.get(name)
        if found is None:
            several = [each for each in self.fields if each.name == name]
            found = self._found[name] = dict(enumerate(several))
            for each in several:
                found |= {_key(inner.value): each for inner in each.fields if inner.name == _KEY}
        return found


class TextLines:
    """Where the fields of ``text`` stand, looked up when the first is wanted: most texts are sound."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._root: FieldLine | None = None

    def __repr__(self) -> str:
        return f"<TextLines of {len(self._text):,} characters>"

    def find(self, *path: Step) -> int:
        """Return the line of a field, as FieldLine has it."""
        if self._root is None:
            self._root = field_lines(self._text)
        return self._root.find(*path)


def field_lines(text: str) -> FieldLine:
    """Return the fields of ``text``, which protobuf's parser has read."""
    starts = [match.start() for match in re.finditer("\n", text)]
    reader = _Reader()
    for match in _PIECE.finditer(text):
        if match.lastgroup is not None:
            line = bisect_right(starts, match.start() - 1) + 1
            reader.take(match.lastgroup, match.group(), line)
    return reader.root


class _Reader:
    """Takes piece after piece of a text.

    ``current``: the field whose value comes, or has come (``is_taken``) while more may: ``is_list``.
    """

    def __init__(self) -> None:
        self.root = self._at = FieldLine("", 1)
        self._outer: list[tuple[FieldLine, FieldLine | None]] = []
        self._current: FieldLine | None = None
        self._is_value = self._is_list = self._is_taken = False

    def __repr__(self) -> str:
        return f"<_Reader in {self._at!r}>"

    def take(self, kind: str, piece: str, line: int) -> None:
        current = self._current
        if kind == "mark":
            self._take_mark(piece, line)
        elif current is not None and (self._is_list or self._is_value or kind == "text"):
            current.value = current.value or piece
            self._is_value, self._is_taken = False, True
        else:
            self._begin(FieldLine(piece, line))

    def _begin(self, field_line: FieldLine) -> None:
        self._current, self._is_taken = field_line, False
        self._at.fields.append(field_line)

    def _take_mark(self, mark: str, line: int) -> None:
        if mark == ":":
            self._is_value = True
        elif mark == "[":
            self._is_list = True
        elif mark == "]":
            self._is_list = self._is_value = False
        elif mark in "{<" and self._current is not None:
            if self._is_taken:
                self._begin(FieldLine(self._current.name, line))
            self._outer.append((self._at, self._current if self._is_list else None))
            self._at, self._current = self._current, None
            self._is_value = self._is_list = self._is_taken = False
        elif mark in "}>" and self._outer:
            self._at, self._current = self._outer.pop()
            self._is_list, self._is_value, self._is_taken = self._current is not None, False, True


def _key(value: str) -> str:
    """Return the text of a quoted ``value``, as far as it has one."""
    with suppress(ValueError, UnicodeDecodeError):
        return bytes(text_encoding.CUnescape(value[1:-1])).decode()
    return value
