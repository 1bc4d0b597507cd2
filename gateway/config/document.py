"""YAML into frozen typed values, where every complaint names the file, the line and the field.

PyYAML keeps the marks of its nodes and msgspec names the path of what it refuses; this module joins
the two. Nothing else in Edgeway reads YAML.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml  # noqa: TID251 - this is the one place
from yaml._yaml import CParser  # noqa: TID251 - this is the one place
from yaml.composer import Composer  # noqa: TID251 - this is the one place
from yaml.resolver import Resolver  # noqa: TID251 - this is the one place

T = TypeVar("T")

MAX_BYTES: Final = 1 << 20
_NUMBERS: Final = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})
_MAX_DIGITS: Final = 1024
"""YAML 1.1 has numbers to the base of 60, ``1:30``; 100,000 digits of one take seconds to be read."""

MAX_NODES: Final = 100_000
"""Nodes after aliases are followed: a few nested aliases can otherwise stand for billions."""
MAX_DEPTH: Final = 32
"""PyYAML composes nodes recursively, in C: a file of brackets alone would end the process."""

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_STEP: Final = re.compile(r"\[\.\.\.\]|\[(\d+)\]|\.([^.\[]+)")

Path_ = tuple[str | int, ...]


class ConfigError(Exception):
    """A file that cannot be used. ``str()`` is ``FILE:LINE: FIELD: what is wrong``."""

    def __init__(self, file: Path, message: str, *, line: int = 0, field: str = "") -> None:
        place = f"{file}:{line}" if line else str(file)
        super().__init__(": ".join(part for part in (place, field, message) if part))
        self.file, self.line, self.field, self.message = file, line, field, message


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain values, and the line (from 1) on which each value's key stands."""

    file: Path
    values: Any
    lines: dict[Path_, int]

    def take_apart(self) -> None:
        """Free what is known of lines, piece by piece: a large file has so many that it would be noticed."""
        while self.lines:
            self.lines.popitem()

    def line(self, path: Path_) -> int:
        """Return the line of ``path``, or of the nearest parent that has one."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: Path_, message: str) -> ConfigError:
        """Return a complaint about the value at ``path``."""
        return ConfigError(self.file, message, line=self.line(path), field=spell(path))

    def decode(self, kind: type[T]) -> T:
        """Convert the values to ``kind``.

        Raises:
            ConfigError: for the first field that is missing, unknown, of a wrong type or out of range.
        """
        try:
            return msgspec.convert(self.values, kind)
        except msgspec.ValidationError as error:
            raise self._complaint(str(error), kind) from None

    def _complaint(self, text: str, kind: type[Any]) -> ConfigError:
        message, _, where = text.partition(" - at `$")
        path = self._resolve(where.rstrip("`"), text, kind)
        unknown = re.fullmatch(r"Object contains unknown field `(.+)`", message)
        if unknown:
            return self.error((*path, unknown[1]), "unknown field; check the spelling")
        return self.error(path, message[:1].lower() + message[1:])

    def _resolve(self, where: str, text: str, kind: type[Any]) -> Path_:
        """Turn msgspec's path into ours. It writes ``[...]`` for any key of a mapping: find which."""
        path: Path_ = ()
        for step in _STEP.finditer(where):
            if step[0] == "[...]":
                path = (*path, self._culprit(path, text, kind))
            else:
                path = (*path, int(step[1]) if step[1] else step[2])
        return path

    def _culprit(self, path: Path_, text: str, kind: type[Any]) -> str:
        """Return the first key that is refused: the last of the fewest that draw the same complaint."""
        mapping = _at(self.values, path)
        keys = list(mapping)

        def is_refused(count: int) -> bool:
            fewer = {key: mapping[key] for key in keys[:count]}
            try:
                msgspec.convert(_replaced(self.values, path, fewer), kind)
            except msgspec.ValidationError as error:
                return str(error) == text
            return False

        return str(keys[bisect_left(range(1, len(keys)), True, key=is_refused)])


def spell(path: Path_) -> str:
    """Write a path as people do: ``routes[0].match.model``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def read(file: Path, environment: Mapping[str, str] | None = None) -> Document:
    """Read a YAML file; with ``environment``, ``${NAME}`` and ``${NAME:-default}`` are filled in.

    Raises:
        ConfigError: when the file cannot be read, is not YAML, is too large, repeats a key, or names
            a variable that is not set.
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None
    return parse(file, text, environment)


def parse(file: Path, text: bytes, environment: Mapping[str, str] | None = None) -> Document:
    """Parse the ``text`` of ``file``; see ``read``."""
    if len(text) > MAX_BYTES:
        raise ConfigError(file, f"is larger than {MAX_BYTES >> 20} MiB")
    try:
        root = _Composer(file, text.decode()).get_single_node()
    except UnicodeDecodeError:
        raise ConfigError(file, "is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(file, f"is not YAML: {error.problem}", line=line) from None
    except yaml.YAMLError:
        raise ConfigError(file, "is not YAML: it holds a character that text may not") from None
    walk = _Walk(file, environment)
    try:
        values = walk.value(root, ()) if root is not None else {}
    finally:
        _take_apart(root)
    return Document(file, values, walk.lines)


def _take_apart(root: yaml.Node | None) -> None:
    """Free the nodes of a file one by one: no other thread would run while 100,000 of them go at once."""
    left: list[Any] = [root]
    while left:
        node = left.pop()
        if isinstance(node, tuple):
            left += node
        elif node is not None and isinstance(node.value, list):
            left += node.value
            node.value = None


class _Composer(Composer, CParser, Resolver):
    """Makes nodes of the events of PyYAML's parser in C, one by one.

    Its composer in C is faster, but no other thread of the process runs before the whole file is composed.
    """

    def __init__(self, file: Path, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._file, self._depth = file, 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose what comes next; deep nesting is refused before anything recurses that far."""
        # It compares types for identity.
        begins = self.check_event(yaml.SequenceStartEvent, yaml.MappingStartEvent)
        if begins and self._depth == MAX_DEPTH:
            mark = getattr(self.peek_event(), "start_mark", None)
            line = mark.line + 1 if mark is not None else 0
            raise ConfigError(self._file, f"is nested more than {MAX_DEPTH} levels deep", line=line)
        self._depth += begins
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= begins
        return node


class _Walk:
    """One pass over the nodes of a file: values out, lines noted."""

    def __init__(self, file: Path, environment: Mapping[str, str] | None) -> None:
        self.lines: dict[Path_, int] = {}
        self._file, self._environment, self._nodes = file, environment, 0
        self._constructor = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Path_) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._nodes += 1
        if len(path) > MAX_DEPTH:
            raise self._error(node, path[:MAX_DEPTH], "an alias stands within what it stands for")
        if self._nodes > MAX_NODES:
            raise self._error(node, path, f"the file stands for more than {MAX_NODES} values")
        match node:
            case yaml.MappingNode():
                return dict(self._pairs(node, path))
            case yaml.SequenceNode():
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node, path)

    def _pairs(self, node: yaml.MappingNode, path: Path_) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, path, "a key must be plain text")
            key = key_node.value
            if key in seen:
                raise self._error(key_node, (*path, key), "this key stands twice in the same mapping")
            seen.add(key)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            yield key, self.value(value_node, (*path, key))

    def _scalar(self, node: yaml.Node, path: Path_) -> Any:
        if node.tag in _NUMBERS and len(node.value) > _MAX_DIGITS:
            raise self._error(node, path, f"a number has at most {_MAX_DIGITS} characters")
        try:
            plain = self._constructor.construct_object(node)
        except Exception:  # noqa: BLE001 - PyYAML lets whatever int(), float() … raise escape
            raise self._error(node, path, "this value cannot be read") from None
        # It keeps every node, and is part of a cycle: the collector would free all of them in one go.
        self._constructor.constructed_objects.clear()
        if not isinstance(plain, str) or self._environment is None or "${" not in plain:
            return plain
        return _VARIABLE.sub(lambda found: self._variable(found, node, path), plain)

    def _variable(self, found: re.Match[str], node: yaml.Node, path: Path_) -> str:
        assert self._environment is not None
        value = self._environment.get(found[1], found[2])
        if value is None:
            raise self._error(node, path, f"the environment variable {found[1]} is not set")
        return value

    def _error(self, node: yaml.Node, path: Path_, message: str) -> ConfigError:
        return ConfigError(self._file, message, line=node.start_mark.line + 1, field=spell(path))


def _at(values: Any, path: Path_) -> Any:
    for step in path:
        values = values[step]
    return values


def _replaced(values: Any, path: Path_, new: Any) -> Any:
    if not path:
        return new
    head, *rest = path
    inner = _replaced(values[head], tuple(rest), new)
    if isinstance(values, list):
        return [inner if index == head else item for index, item in enumerate(values)]
    return {**values, head: inner}
