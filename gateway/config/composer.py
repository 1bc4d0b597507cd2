"""The events of PyYAML's parser in C into plain values, with the place of each, within limits.

Values are made of events one by one, and nothing else is: what is too many, too deep or there twice ends it
where it stands. Its composers make nodes of the whole file first, the one in C without letting another
thread of the process run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # noqa: TID251 - with document.py the one place
from yaml._yaml import CParser  # noqa: TID251 - the same

from gateway.config.errors import ConfigError
from gateway.config.paths import Path_, spell
from gateway.config.scalars import CONVERSIONS, Plain, resolve
from gateway.config.syntax import explained
from gateway.core.spelling import nearest, shown

MAX_VALUES: Final = 100_000
"""Values, each where it stands or is stood for: a few nested aliases can otherwise stand for billions."""
MAX_DEPTH: Final = 32
"""Values are made, checked and converted recursively."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_TAG: Final = "tag:yaml.org,2002:"
_TEXT_TAGS: Final = frozenset({"!", _TAG + "str"})
_SCALAR_TAGS: Final = {f"{_TAG}{name}": convert for name, convert in CONVERSIONS.items()}


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What an alias stands for. ``size``, ``height``: values in it, and levels below it."""

    value: Any
    path: Path_
    size: int
    height: int


class Composer:
    """Makes the value of one document. ``num_values``: how many have been made, or are stood for."""

    def __init__(self, file: Path, text: str, environment: Mapping[str, str] | None = None) -> None:
        self.num_values = 0
        self._marks: dict[Path_, Any] = {}
        self._plain: dict[Path_, str] = {}
        self._aliases: dict[Path_, Path_] = {}
        self._file, self._text, self._environment = file, text, environment
        self._anchors: dict[str, _Anchor] = {}
        self._open: set[str] = set()
        self._deepest = 0
        self._next: Callable[[], Any] = CParser(text).get_event

    def __repr__(self) -> str:
        return f"<Composer of {self._file}, {self.num_values} values>"

    def place(self, path: Path_) -> tuple[int, int]:
        """Return line and column, from 1, of the key of ``path``, or of the nearest parent that has one."""
        while path:
            mark = self._marks.get(path) or self._marks.get(self._origin(path))
            if mark is not None:
                return mark.line + 1, mark.column + 1
            path = path[:-1]
        return 1, 1

    def take_apart(self) -> None:
        """Forget all places, one by one: no other thread would run while 100,000 of them go at once."""
        while self._marks:
            self._marks.popitem()
        while self._plain:
            self._plain.popitem()

    def plain_text(self, path: Path_) -> str | None:
        """Return the text of the plain scalar at ``path``; None: what stands there is none."""
        return self._plain.get(path) if path in self._marks else self._plain.get(self._origin(path))

    def _origin(self, path: Path_) -> Path_:
        """Return where a value stands that is within what an alias stands for."""
        size = 0
        while self._aliases and size <= len(path):
            target = self._aliases.get(path[:size])
            path, size = (path, size + 1) if target is None else (target + path[size:], len(target))
        return path

    def compose(self) -> Any:
        """Return the value of the document.

        Raises:
            ConfigError: the text is not YAML, holds no document or several, or more than the limits allow.
        """
        try:
            return self._compose()
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except yaml.YAMLError as error:
            raise ConfigError(self._file, f"is not YAML: {error}") from None

    def _compose(self) -> Any:
        self._next()
        if type(self._next()) is yaml.StreamEndEvent:
            comments = " but comments" if self._text.strip() else ": the file is empty"
            raise ConfigError(self._file, f"holds nothing{comments}")
        value = self._value(self._next(), ())
        self._next()
        more = self._next()
        if type(more) is not yaml.StreamEndEvent:
            message = "another document begins here, behind `---` or `...`: a file holds one"
            raise self._error(more.start_mark, (), message)
        return value

    def _value(self, event: Any, path: Path_) -> Any:
        self._marks.setdefault(path, event.start_mark)
        if type(event) is yaml.AliasEvent:
            return self._alias(event, path)
        self._count(event, path, 1)
        if event.anchor is not None:
            return self._anchored(event, path)
        return self._unanchored(event, path)

    def _unanchored(self, event: Any, path: Path_) -> Any:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            return self._scalar(event, path)
        if len(path) >= MAX_DEPTH:
            raise self._error(event.start_mark, (), f"is nested more than {MAX_DEPTH} levels deep")
        self._deepest = max(self._deepest, len(path) + 1)
        if kind is yaml.MappingStartEvent:
            self._check_tag(event, path, _TAG + "map")
            return self._mapping(path)
        self._check_tag(event, path, _TAG + "seq")
        return self._sequence(path)

    def _sequence(self, path: Path_) -> list[Any]:
        items: list[Any] = []
        while type(event := self._next()) is not yaml.SequenceEndEvent:
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path_) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while type(event := self._next()) is not yaml.MappingEndEvent:
            key = self._key(event, path)
            where = (*path, key)
            if key in values:
                first = self._marks[where].line + 1
                message = f"this key stands twice in the same mapping, first in line {first}"
                raise self._error(event.start_mark, where, message)
            self._marks[where] = event.start_mark
            values[key] = self._value(self._next(), where)
        return values

    def _key(self, event: Any, path: Path_) -> str:
        """Return a key as it is written: NO is Norway, and 007 an agent."""
        if type(event) is yaml.AliasEvent:
            value = self._anchor(event, path).value
            if isinstance(value, str):
                return value
        if type(event) is not yaml.ScalarEvent:
            raise self._error(event.start_mark, path, "a key must be plain text")
        if event.tag is not None:
            self._check_tag(event, path, _TAG + "str")
        if event.value == "<<" and not event.style:
            raise self._error(
                event.start_mark,
                path,
                "`<<` merges are not read, YAML 1.2 has none: write these fields out, or let an alias "
                "(`*name`) stand for a whole value",
            )
        if event.anchor is not None:
            self._define(event, _Anchor(event.value, path, 1, 0), path)
        return str(event.value)

    def _anchored(self, event: Any, path: Path_) -> Any:
        size, deepest = self.num_values, self._deepest
        self._deepest = len(path)
        self._open.add(event.anchor)
        value = self._unanchored(event, path)
        self._open.discard(event.anchor)
        anchor = _Anchor(value, path, self.num_values - size + 1, self._deepest - len(path))
        self._deepest = max(deepest, self._deepest)
        self._define(event, anchor, path)
        return value

    def _define(self, event: Any, anchor: _Anchor, path: Path_) -> None:
        if event.anchor in self._anchors:
            first = self._marks[self._anchors[event.anchor].path].line + 1
            message = f"the anchor `&{shown(event.anchor)}` stands twice, first in line {first}"
            raise self._error(event.start_mark, path, message)
        self._anchors[event.anchor] = anchor

    def _alias(self, event: Any, path: Path_) -> Any:
        anchor = self._anchor(event, path)
        self._count(event, path, anchor.size)
        if len(path) + anchor.height > MAX_DEPTH:
            raise self._error(event.start_mark, path, f"is nested more than {MAX_DEPTH} levels deep")
        self._deepest = max(self._deepest, len(path) + anchor.height)
        self._aliases[path] = anchor.path
        return anchor.value

    def _anchor(self, event: Any, path: Path_) -> _Anchor:
        anchor = self._anchors.get(event.anchor)
        if anchor is not None:
            return anchor
        name = shown(event.anchor)
        if event.anchor in self._open:
            raise self._error(event.start_mark, path, f"the alias `*{name}` stands within what it stands for")
        close = nearest(event.anchor, self._anchors)
        advice = (
            f"did you mean `*{close}`?" if close else f"write `&{name}` before the value that it stands for"
        )
        raise self._error(event.start_mark, path, f"no anchor `&{name}` stands before this: {advice}")

    def _scalar(self, event: Any, path: Path_) -> Any:
        text: str = event.value
        if event.style:
            value: Plain = text
            if event.tag is not None and event.tag not in _TEXT_TAGS:
                value = self._tagged(event, path)
        else:
            value = self._resolved(event, path) if event.tag is None else self._tagged(event, path)
        if isinstance(value, str) and "${" in value and self._environment is not None:
            return _VARIABLE.sub(lambda found: self._variable(found, event, path), value)
        return value

    def _resolved(self, event: Any, path: Path_) -> Plain:
        try:
            value = resolve(event.value)
        except ValueError as error:
            raise self._error(event.start_mark, path, str(error)) from None
        self._plain[path] = event.value
        return value

    def _tagged(self, event: Any, path: Path_) -> Plain:
        if event.tag in _TEXT_TAGS:
            return str(event.value)
        if event.tag not in _SCALAR_TAGS:
            self._check_tag(event, path, "")
        value = self._resolved(event, path)
        del self._plain[path]
        try:
            return _SCALAR_TAGS[event.tag](value, event.value)
        except ValueError:
            message = f"`{shown(event.value)}` is not what its tag {_shown_tag(event.tag)} says"
            raise self._error(event.start_mark, path, message) from None

    def _check_tag(self, event: Any, path: Path_, allowed: str) -> None:
        if event.tag not in {None, "!", allowed}:
            message = f"the tag {_shown_tag(event.tag)} is not read here: take it out"
            raise self._error(event.start_mark, path, message)

    def _variable(self, found: re.Match[str], event: Any, path: Path_) -> str:
        assert self._environment is not None
        value: str | None = self._environment.get(found[1], found[2])
        if value is not None:
            return value
        raise self._error(event.start_mark, path, f"the environment variable {found[1]} is not set")

    def _count(self, event: Any, path: Path_, size: int) -> None:
        self.num_values += size
        if self.num_values > MAX_VALUES:
            message = f"the file stands for more than {MAX_VALUES} values"
            raise self._error(event.start_mark, path, message)

    def _error(self, mark: Any, path: Path_, message: str) -> ConfigError:
        line, column = mark.line + 1, mark.column + 1
        return ConfigError(self._file, message, line=line, column=column, field=spell(path))

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ConfigError:
        return self._error(error.problem_mark, (), f"is not YAML: {explained(error, self._text)}")


def _shown_tag(tag: str) -> str:
    return shown(f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag)
