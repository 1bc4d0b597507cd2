"""The bytes of a YAML file as text: UTF-8, with nothing in it that an editor does not show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypedDict

from gateway.config.errors import ConfigError
from gateway.core.spelling import shown

MAX_BYTES: Final = 1 << 20

_MARK: Final = "\ufeff"
_UNPRINTABLE: Final = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML takes for no text; with it the byte order mark, which is one at the beginning alone."""
_PRINTABLE: Final = bytes((*b"\t\n\r", *range(0x20, 0x7F)))
_PART: Final = 1 << 14
"""Characters that are looked through at once: other threads of the process run in between."""
_BREAKS: Final = "\n\r\x85\u2028\u2029"
_PERCENT: Final = re.compile(f"[{_BREAKS}]%")
_REST_OF_LINE: Final = re.compile(f"[^{_BREAKS}]*")
_VERSION: Final = re.compile(r"%YAML[ \t]+1\.[12][ \t]*(#.*)?")
_WIDE: Final = (
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)


def text_of(file: Path, content: bytes) -> str:
    """Return the text of ``file``, whose bytes are ``content``.

    Raises:
        ConfigError: it is too large, is not UTF-8, or holds what no text of YAML may.
    """
    if len(content) > MAX_BYTES:
        raise ConfigError(file, f"is larger than {MAX_BYTES >> 20} MiB, the most that is read")
    if wide := _wide(content):
        raise ConfigError(file, f"is {wide} text: save it as UTF-8")
    try:
        text = content.decode().removeprefix(_MARK)
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 text: byte 0x{content[error.start]:02X} stands here; save it as UTF-8"
        raise ConfigError(file, message, **_place(content[: error.start].decode())) from None
    if (found := _unprintable(content, text)) is not None:
        character = text[found]
        what = "a byte order mark stands" if character == _MARK else "a control character stands"
        what = f"{what} in the middle of the text (U+{ord(character):04X}): take it out"
        raise ConfigError(file, what, **_place(text[:found]))
    _check_directives(file, text)
    return text


def _wide(content: bytes) -> str:
    for mark, name in _WIDE:
        if content.startswith(mark):
            return name
    # Without a mark the first character, which is of ASCII, shows how wide all are.
    zeros = [byte == 0 for byte in content[:4]]
    if zeros in ([True, True, True, False], [False, True, True, True]):
        return "UTF-32"
    return "UTF-16" if zeros in ([True, False, True, False], [False, True, False, True]) else ""


def _unprintable(content: bytes, text: str) -> int | None:
    """Return where a character stands that may not."""
    if content.isascii() and not content.translate(None, _PRINTABLE):
        return None
    for begin in range(0, len(text), _PART):
        if found := _UNPRINTABLE.search(text, begin, begin + _PART):
            return found.start()
    return None


def _check_directives(file: Path, text: str) -> None:
    """Refuse them here: those who parse compare each with all before it, and let no other thread run."""
    for count, begin in enumerate(_directives(text)):
        found = _REST_OF_LINE.match(text, begin, begin + _PART)
        assert found is not None, "it may be empty"
        if count or not _VERSION.fullmatch(found[0]):
            word = shown(found[0].split()[0], 40)
            message = f"a line that begins with '{word}' is a directive, and none is read here: take it out"
            raise ConfigError(file, message, **_place(text[:begin]))


def _directives(text: str) -> Iterator[int]:
    """Yield where lines begin with a percent sign."""
    if text.startswith("%"):
        yield 0
    if "%" in text:
        for begin in range(0, len(text), _PART):
            for found in _PERCENT.finditer(text, begin, begin + _PART + 1):
                yield found.start() + 1


class _Place(TypedDict):
    line: int
    column: int


def _place(before: str) -> _Place:
    return {"line": before.count("\n") + 1, "column": len(before) - before.rfind("\n")}
