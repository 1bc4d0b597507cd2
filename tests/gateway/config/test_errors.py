"""Complaints about files."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.errors import ConfigError

FILE = Path("some.yaml")


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ({}, "some.yaml: wrong"),
        ({"line": 3}, "some.yaml:3: wrong"),
        ({"line": 3, "column": 7, "field": "a.b"}, "some.yaml:3:7: a.b: wrong"),
    ],
)
def test_place_comes_first(place: dict, expected: str) -> None:
    """As compilers write it, so that editors jump there."""
    assert str(ConfigError(FILE, "wrong", **place)) == expected


def test_others_are_counted() -> None:
    """One line has the first and how many more there are; each is at hand."""
    error = ConfigError(FILE, "one", others=[ConfigError(FILE, "two", line=2)])

    assert str(error) == "some.yaml: one (and 1 more)"
    assert error.each == ("some.yaml: one", "some.yaml:2: two")


def test_messages_are_bounded() -> None:
    """A file's own text may stand in one."""
    assert len(str(ConfigError(FILE, "x" * 10_000))) < 2_100
