"""What the linter says."""

from __future__ import annotations

import pytest

from routing.problem import Problem, Severity, unknown


def test_id_has_the_severity() -> None:
    """EW1xx are errors and EW2xx warnings."""
    assert Problem("EW102", (), "").severity is Severity.ERROR
    assert Problem("EW201", (), "").severity is Severity.WARNING
    assert Problem("EW301", (), "").severity is Severity.NOTE


def test_misspelt_name_gets_a_suggestion() -> None:
    """The closest known name is offered."""
    assert unknown("region", "eu-wset", ["eu-west", "us-east"]) == (
        "unknown region 'eu-wset'; did you mean 'eu-west'?"
    )


def test_name_like_no_other_gets_the_list() -> None:
    """Without a close one, up to eight known names are listed."""
    assert unknown("region", "q", ["b", "a"]) == "unknown region 'q'; known: a, b"
    assert unknown("region", "q", map(str, range(9))).endswith("known: 0, 1, 2, 3, 4, 5, 6, 7, …")
    assert unknown("endpoint", "q", []).endswith("known: none")


@pytest.mark.parametrize("wrong", ["tenat-0777", "enant-0777", "Tenant-0777", "tenant-o777"])
def test_misspelt_name_is_found_among_many(wrong: str) -> None:
    """Only names that begin or end alike are compared, and the one that was meant is among them."""
    known = [f"tenant-{number:04}" for number in range(1000)]

    message = unknown("tenant", wrong, [*known, "another"])

    assert "did you mean 'tenant-077" in message


def test_names_are_put_in_order_once_for_many_that_are_wrong() -> None:
    """A large policy may be wrong in thousands of places, and each of its names is looked at once."""
    read = 0

    class Name(str):
        __slots__ = ()

        def __lt__(self, other: str) -> bool:
            nonlocal read
            read += 1
            return str.__lt__(self, other)

    known = [Name(f"r{number:04}") for number in range(1000)]
    unknown("region", "q", known)
    once = read
    unknown("region", "p", known)

    assert read - once < once / 2


def test_very_long_name_is_compared_with_no_other() -> None:
    """Comparing texts takes the square of their lengths."""
    assert "did you mean" not in unknown("region", "a" * 300, ["a" * 299])
