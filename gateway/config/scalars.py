"""What a plain scalar means: YAML 1.2's core schema, and where YAML 1.1 reads something else.

Files are written, checked and rendered by tools of either version. What both read alike is that value; what
only one of them takes for a value is text here, and a field that wants no text says what it may have meant
(``gateway.config.shapes``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from gateway.core.spelling import shown

MAX_DIGITS: Final = 256
"""Each number of so many is one for floats, too; and long ones are read in the square of their length."""

_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_OLD_WORDS: Final = {
    **dict.fromkeys(("yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("no", "No", "NO", "off", "Off", "OFF"), False),
}
_BEGINNINGS: Final = frozenset("+-.0123456789")
_INTEGER: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_OTHER_BASES: Final = re.compile(r"0o([0-7]+)|0x([0-9a-fA-F]+)")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|0|[1-9][0-9]*)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-9]+")
_OCTAL: Final = re.compile(r"[-+]?0[0-7]+")
_GROUPED: Final = re.compile(r"[-+]?[1-9][0-9]*(_[0-9_]*)+")
_BINARY: Final = re.compile(r"[-+]?0b[01_]+")
_SIXTIES: Final = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\s].*)?")

Plain = str | int | float | bool | None


def resolve(text: str) -> Plain:
    """Return the value of a plain scalar.

    Raises:
        ValueError: it is a number that is too long, or too large.
    """
    if text in _WORDS:
        return _WORDS[text]
    return _number(text) if text[0] in _BEGINNINGS else text


def _number(text: str) -> int | float | str:
    if len(text) > MAX_DIGITS:
        if text.strip("+-.0123456789:_"):
            return text
        raise ValueError(f"a number has at most {MAX_DIGITS} characters")
    if _INTEGER.fullmatch(text):
        return int(text)
    if found := _OTHER_BASES.fullmatch(text):
        return int(found[1], 8) if found[1] else int(found[2], 16)
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is at most 1.8e308")
    return number


def old_truth(text: str) -> bool | None:
    """Return the truth value that ``text`` is in YAML 1.1 alone; None: it is none there either."""
    return _OLD_WORDS.get(text)


def old_integer(text: str) -> int | None:
    """Return the integer that YAML 1.1 alone takes ``text`` for, if nobody reads another in it."""
    if len(text) <= MAX_DIGITS and _GROUPED.fullmatch(text):
        return int(text.replace("_", ""))
    if len(text) <= MAX_DIGITS and _BINARY.fullmatch(text) and text[-1] != "_":
        return int(text.replace("_", "").replace("0b", ""), 2)
    return None


def hint(text: str) -> str:
    """Say what the plain ``text`` is in which YAML, where no text is wanted; empty: nothing else."""
    if _NO_NUMBER.fullmatch(text):
        return f"`{text}` is no number that anything could be compared with"
    if _LEADING_ZERO.fullmatch(text):
        return _of_zeros(text)
    if (number := resolve(text)) and isinstance(number, float) and number.is_integer():
        return f"write {shown(f'{number:.0f}')}"
    if (old := _old(text)) is not None:
        return f"YAML 1.1 reads `{shown(text)}` as {old}, YAML 1.2 as text"
    return ""


def _of_zeros(text: str) -> str:
    sign, digits = text[: text.index("0")].rstrip("+"), text.lstrip("+-")
    ten = sign + (digits.lstrip("0") or "0")
    eight = f"{sign}{int(digits, 8)} (octal)" if _OCTAL.fullmatch(text) else "text"
    return (
        f"YAML 1.1 reads `{shown(text)}` as {shown(eight)}, YAML 1.2 as {shown(ten)}: write the one that is "
        "meant, without a leading 0"
    )


def _old(text: str) -> str | None:
    """Return what YAML 1.1 alone reads; None: it reads text."""
    truth, number = old_truth(text), old_integer(text)
    if truth is not None:
        return str(truth).lower()
    if number is not None:
        return shown(str(number))
    if _SIXTIES.fullmatch(text):
        return f"{shown(_sixties(text))} (to the base of 60)"
    return "a date" if _DATE.fullmatch(text) else None


def _sixties(text: str) -> str:
    whole, _, part = text.replace("_", "").partition(".")
    number = 0
    for digits in whole.lstrip("+-").split(":"):
        number = number * 60 + int(digits)
    sign = "-" if text[0] == "-" else ""
    return f"{sign}{number}" + (f".{part}" if part else "")


def _to_null(value: Plain, text: str) -> None:
    if value is not None:
        raise ValueError(text)


def _to_truth(value: Plain, text: str) -> bool:
    truth = value if isinstance(value, bool) else old_truth(text)
    if truth is None:
        raise ValueError(text)
    return truth


def _to_integer(value: Plain, text: str) -> int:
    number = value if type(value) is int else old_integer(text)
    if number is None:
        raise ValueError(text)
    return number


def _to_float(value: Plain, text: str) -> float:
    number = float(value) if type(value) in {int, float} and value is not None else None
    if number is None:
        raise ValueError(text)
    return number


CONVERSIONS: Final[Mapping[str, Callable[[Plain, str], Plain]]] = {
    "null": _to_null,
    "bool": _to_truth,
    "int": _to_integer,
    "float": _to_float,
}
"""Name of a tag → what makes its value of what ``resolve`` returned and the text; ValueError: it is none."""
