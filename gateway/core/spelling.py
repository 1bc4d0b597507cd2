"""Names as messages write them, and which of the known names one may have been meant to be."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

_COMPARED: Final = 64
_LONG: Final = 40
_LONGEST: Final = 256
"""Characters of a name that others are compared with."""
_LISTED: Final = 8
_SHOWN: Final = 80


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return which of ``known`` is spelt most like ``name``; None: none is alike."""
    if len(name) > _LONGEST:
        return None
    order = _order(tuple(known))
    close = order.small.get(name.lower()) or next(iter(get_close_matches(name, order.near(name), 1)), None)
    return close or None


def listed(known: Iterable[str], *, most: int = _LISTED) -> str:
    """Return the first ``most`` of ``known`` as a message lists them."""
    names = list(known)
    return ", ".join(map(shown, names[:most])) + (", …" if len(names) > most else "") or "none"


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that there is no such name, and which one may have been meant."""
    names = tuple(known)
    close = nearest(name, names)
    if close is not None:
        return f"unknown {kind} '{shown(name)}'; did you mean '{close}'?"
    return f"unknown {kind} '{shown(name)}'; known: {listed(_order(names).names)}"


def shown(text: str, most: int = _SHOWN) -> str:
    """Return the beginning of ``text`` in one line, with escapes for what nobody would see."""
    part = text[:most]
    if not part.isprintable():
        part = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in part)
    return part + ("…" if len(text) > most else "")


class _Order:
    """Known names in order, and in the order of their ends, backwards; and by themselves in small letters."""

    def __init__(self, known: tuple[str, ...]) -> None:
        self.names = sorted(known)
        self.backwards = sorted(name[::-1] for name in known)
        self.small = {name.lower(): name for name in known}

    def near(self, name: str) -> Collection[str]:
        """Return the few names that begin or end most like ``name``.

        Comparing is slow, and a large policy may be wrong in a thousand places.
        """
        if len(self.names) <= _COMPARED:
            return self.names
        most = _COMPARED if len(name) <= _LONG else _COMPARED // 4
        ends = (other[::-1] for other in _around(name[::-1], self.backwards, most // 4))
        return {*_around(name, self.names, most // 4), *ends}


@lru_cache(maxsize=2)
def _order(known: tuple[str, ...]) -> _Order:
    """Remembered for the next name that is wrong."""
    return _Order(known)


def _around(name: str, names: Sequence[str], reach: int) -> Sequence[str]:
    middle = bisect(names, name)
    return names[max(0, middle - reach) : middle + reach]
