"""Which models, and which versions of them, a server is known to hold: a value that never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Self

import msgspec

from gateway.core.catalog import IndexEntry
from routing.patterns import is_name, name_test

READY: Final = "READY"
UNKNOWN: Final = "UNKNOWN"
"""The state of a model whose server lists names alone."""

ALL_VERSIONS: Final[frozenset[str]] = frozenset()
VERSION: Final = ":"
"""Stands before the version in a list of models."""


class Holdings(msgspec.Struct, frozen=True):
    """What one server holds; whatever is not among it, the server is known not to hold.

    ``versions``: model → its versions, none of them named: all. ``patterns``: patterns of names, each with a
    version, empty: all.
    """

    versions: Mapping[str, frozenset[str]] = {}
    patterns: tuple[tuple[str, str], ...] = ()

    @classmethod
    def listed(cls, entries: Iterable[str]) -> Self:
        """Return what a policy's list says: NAME, a pattern of names, or either with ``:VERSION`` behind."""
        found: dict[str, set[str]] = {}
        patterns: list[tuple[str, str]] = []
        for entry in entries:
            name, version = split(entry)
            if is_name(name):
                found.setdefault(name, set()).add(version)
            else:
                patterns.append((name, version))
        return cls({name: _versions(named) for name, named in found.items()}, tuple(patterns))

    @classmethod
    def indexed(cls, entries: Iterable[IndexEntry]) -> Self:
        """Return what a server's index says: what is ready. A server without versions lists none."""
        # One set for each model grows: another at each of two thousand versions would hold the loop.
        found: dict[str, set[str]] = {}
        for entry in entries:
            if entry.state == READY or (entry.state == UNKNOWN and not entry.version):
                found.setdefault(entry.name, set()).add(entry.version)
        return cls({name: _versions(named) for name, named in found.items()})

    def has(self, model: str, version: str) -> bool:
        """Whether it holds ``model`` in ``version``; empty: in any."""
        known = self.versions.get(model)
        if known is not None and (not known or not version or version in known):
            return True
        return any(
            (not wanted or not version or wanted == version) and name_test(pattern)(model)
            for pattern, wanted in self.patterns
        )

    def without(self, model: str, version: str) -> Holdings:
        """Return the same without a version of a model; empty: without the model.

        Nothing changes where it lists no versions: one may have been made up.
        """
        known = self.versions.get(model)
        if known is None or (version and not known):
            return self
        rest = known - {version} if version else ALL_VERSIONS
        others = {name: known for name, known in self.versions.items() if name != model}
        return Holdings(others | {model: rest} if rest else others, self.patterns)

    def lines(self) -> list[str]:
        """Return each model with its versions, for people: as a policy lists them."""
        named = [
            VERSION.join(filter(None, (name, ",".join(sorted(known, key=_by_number)))))
            for name, known in sorted(self.versions.items())
        ]
        return named + [VERSION.join(filter(None, each)) for each in self.patterns]


def split(entry: str) -> tuple[str, str]:
    """Return the name and the version of an entry of a list; no version: all."""
    name, colon, version = entry.rpartition(VERSION)
    return (name, version) if colon else (entry, "")


def _versions(named: set[str]) -> frozenset[str]:
    """Return the versions of a model of which those ``named`` are listed: all, where one entry names none."""
    return ALL_VERSIONS if "" in named else frozenset(named)


def _by_number(version: str) -> tuple[int, str]:
    return (len(version), version)
