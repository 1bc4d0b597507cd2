"""Bytes into text."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.encoding import MAX_BYTES, text_of
from gateway.config.errors import ConfigError

FILE = Path("some.yaml")


@pytest.mark.parametrize(
    "content",
    [
        b"a: 1\r\n",
        b"%YAML 1.2\n---\na: 1\n",
        b"%YAML 1.1 # old\n---\na: 1\n",
        "a: é€😀\x85\n".encode(),
        b"a: 100%\nb: '%c'\n",
        b" " * MAX_BYTES,
    ],
)
def test_text_is_as_it_was_written(content: bytes) -> None:
    """Line ends of Windows, every letter there is, a version, up to the last byte that is read."""
    assert text_of(FILE, content) == content.decode()


def test_a_mark_at_the_beginning_is_dropped() -> None:
    """Editors of Windows write one."""
    assert text_of(FILE, b"\xef\xbb\xbfa: 1") == "a: 1"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_wide_text_is_named(encoding: str, mark: str) -> None:
    """With a mark or without one."""
    with pytest.raises(ConfigError, match=f"is {encoding[:6].upper()} text: save it as UTF-8"):
        text_of(FILE, (mark + "generation: 1").encode(encoding))


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (b"a: 1\nb: caf\xe9\n", (2, 7), "byte 0xE9"),
        (b"a: \x00", (1, 4), r"U\+0000"),
        ("a: é\nb: \x07".encode(), (2, 4), r"U\+0007"),
        (b"a: \x7f", (1, 4), r"U\+007F"),
        ("a: 1\n\ufeffb: 2".encode(), (2, 1), "byte order mark"),
        (("x" * 20_000 + "é\n\x01").encode(), (2, 1), r"U\+0001"),
        (b"\xed\xa0\x80", (1, 1), "byte 0xED"),
        (b"%TAG ! a\n---\na: 1", (1, 1), "'%TAG' is a directive"),
        (b"%YAML 1.3\n---\na: 1", (1, 1), "'%YAML' is a directive"),
        (b"%YAML 1.2\n%YAML 1.2\n---\na: 1", (2, 1), "'%YAML' is a directive"),
        (b"a: 1\n...\n%TAG ! a\n---\na: 1", (3, 1), "'%TAG' is a directive"),
        (b"a: 1\r%" + b"z" * 30_000, (1, 6), "is a directive"),
        (b"#" * ((1 << 14) - 1) + b"\n%A\n", (2, 1), "'%A' is a directive"),
    ],
)
def test_what_is_no_text_is_refused_where_it_stands(
    content: bytes, place: tuple[int, int], message: str
) -> None:
    """Nothing of it reaches a parser: one compares directives with each other, and lets nobody else run."""
    with pytest.raises(ConfigError, match=message) as caught:
        text_of(FILE, content)

    assert (caught.value.line, caught.value.column) == place


def test_large_files_are_refused() -> None:
    """By their size alone."""
    with pytest.raises(ConfigError, match="is larger than 1 MiB"):
        text_of(FILE, b"\xff" * (MAX_BYTES + 1))
