"""Names in messages."""

from __future__ import annotations

import pytest

from gateway.core.spelling import listed, nearest, shown, unknown


@pytest.mark.parametrize(
    ("name", "expected"),
    [("percnt", "percent"), ("MODEL", "model"), ("zzz", None), ("p" * 300, None)],
)
def test_nearest(name: str, expected: str | None) -> None:
    """Letters may lack, be in capitals, and what is like nothing known gets no suggestion."""
    assert nearest(name, ["model", "percent", "tenants"]) == expected


def test_long_names_are_found_among_many() -> None:
    """Long ones are compared with fewer."""
    known = [f"{'endpoint-' * 8}{number:04}" for number in range(500)]

    assert nearest("endpoint-" * 8 + "0077x", known) == "endpoint-" * 8 + "0077"


def test_what_nobody_would_see_is_escaped() -> None:
    """No text of a file ends a line of the log, and long ones are cut."""
    assert shown("a\nb\u00a0c\u200b") == "a\\nb\\xa0c\\u200b"
    assert shown("a" * 100, 10) == "a" * 10 + "…"
    assert unknown("region", "a\x1b[2J", ["b"]) == "unknown region 'a\\x1b[2J'; known: b"


def test_lists_end() -> None:
    """Only so many names are listed."""
    assert listed("abc", most=2) == "a, b, …"
    assert listed([]) == "none"
