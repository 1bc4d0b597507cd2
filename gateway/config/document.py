"""YAML into frozen typed values, where every complaint names the file, the line and the field.

What the file holds is found out by ``gateway.config.composer``, msgspec makes it the type that is wanted, and
``gateway.config.shapes`` says what is wrong when it cannot. Nothing else in Edgeway reads YAML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.config.composer import Composer
from gateway.config.encoding import MAX_BYTES as MAX_BYTES  # noqa: PLC0414 - of what is read here
from gateway.config.encoding import text_of
from gateway.config.errors import ConfigError as ConfigError  # noqa: PLC0414 - what is raised here
from gateway.config.paths import Path_, spell
from gateway.config.shapes import Complaint, check

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain values, and where each of them stands."""

    file: Path
    values: Any
    composer: Composer

    def take_apart(self) -> None:
        """Free what is known of places, piece by piece: a large file has so many that it would be noticed."""
        self.composer.take_apart()

    def place(self, path: Path_) -> tuple[int, int]:
        """Return line and column, from 1, of ``path``, or of the nearest parent that has them."""
        return self.composer.place(path)

    def spell(self, path: Path_) -> str:
        """Return the path as people write it, with the names of a list's items."""
        return spell(path, self.values)

    def error(self, path: Path_, message: str, others: Sequence[ConfigError] = ()) -> ConfigError:
        """Return a complaint about the value at ``path``."""
        line, column = self.place(path)
        field = self.spell(path)
        return ConfigError(self.file, message, line=line, column=column, field=field, others=others)

    def decode(self, kind: type[T]) -> T:
        """Convert the values to ``kind``.

        Raises:
            ConfigError: for each field that is missing, unknown, of a wrong type or out of range.
        """
        return self.decode_with_remarks(kind)[0]

    def decode_with_remarks(self, kind: type[T]) -> tuple[T, list[Complaint]]:
        """Convert the values to ``kind``; return what could be written better as well.

        Raises:
            ConfigError: as ``decode`` does.
        """
        try:
            return msgspec.convert(self.values, kind), []
        except msgspec.ValidationError:
            checked = check(self.values, kind, self.composer.plain_text)
        if checked.complaints:
            first, *more = checked.complaints
            raise self.error(first.path, first.text, [self.error(each.path, each.text) for each in more])
        try:
            return msgspec.convert(checked.values, kind), checked.remarks
        except msgspec.ValidationError as error:
            raise self.error((), str(error)) from None


def read(file: Path, environment: Mapping[str, str] | None = None) -> Document:
    """Read a YAML file; with ``environment``, ``${NAME}`` and ``${NAME:-default}`` are filled in.

    Raises:
        ConfigError: when the file cannot be read, is not YAML, is too large, repeats a key, or names
            a variable that is not set.
    """
    return parse(file, read_bytes(file), environment)


def read_bytes(file: Path) -> bytes:
    """Return the content of a file, as far as it is looked at.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(file, f"cannot be read: {error.strerror}") from None


def parse(file: Path, content: bytes, environment: Mapping[str, str] | None = None) -> Document:
    """Parse the ``content`` of ``file``; see ``read``."""
    composer = Composer(file, text_of(file, content), environment)
    return Document(file, composer.compose(), composer)
