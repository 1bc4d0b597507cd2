"""What plain scalars mean."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.scalars import CONVERSIONS, MAX_DIGITS, hint, old_integer, old_truth, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("0o14", 12),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-.5E-1", -0.05),
        ("01.5", 1.5),
        ("1.", 1.0),
        *(
            (text, text)
            for text in (
                "NO yes On off y 012 019 1:30 1_000 0b11 .inf -.INF .nan 2026-01-01 = . - + 1.2.3 nUll"
            ).split()
        ),
        ("1" * MAX_DIGITS, int("1" * MAX_DIGITS)),
        ("2026-01-01 " + "x" * 2_000, "2026-01-01 " + "x" * 2_000),
    ],
)
def test_core_schema(text: str, value: Any) -> None:
    """YAML 1.2's; what the versions do not agree on as a number is text."""
    found = resolve(text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1" * (MAX_DIGITS + 1), "at most 256 characters"),
        ("1" + ":1" * 500, "at most 256 characters"),
        ("1e400", "at most 1.8e308"),
    ],
)
def test_numbers_end_somewhere(text: str, message: str) -> None:
    """Long ones take the square of their length."""
    with pytest.raises(ValueError, match=message):
        resolve(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NO", "YAML 1.1 reads `NO` as false, YAML 1.2 as text"),
        ("1:30", "YAML 1.1 reads `1:30` as 90 (to the base of 60), YAML 1.2 as text"),
        ("-1:30.5", "YAML 1.1 reads `-1:30.5` as -90.5 (to the base of 60), YAML 1.2 as text"),
        ("1_000", "YAML 1.1 reads `1_000` as 1000, YAML 1.2 as text"),
        ("2026-01-01", "YAML 1.1 reads `2026-01-01` as a date, YAML 1.2 as text"),
        (
            "012",
            "YAML 1.1 reads `012` as 10 (octal), YAML 1.2 as 12: write the one that is meant, without a leading 0",
        ),
        (
            "-00",
            "YAML 1.1 reads `-00` as -0 (octal), YAML 1.2 as -0: write the one that is meant, without a leading 0",
        ),
        (
            "019",
            "YAML 1.1 reads `019` as text, YAML 1.2 as 19: write the one that is meant, without a leading 0",
        ),
        (".nan", "`.nan` is no number that anything could be compared with"),
        ("1e3", "write 1000"),
        ("1.5", ""),
        ("word", ""),
    ],
)
def test_hints_name_both_versions(text: str, expected: str) -> None:
    """What either reads, where no text is wanted."""
    assert hint(text) == expected


def test_what_yaml_1_1_alone_reads() -> None:
    """Truth values and numbers that can mean nothing else."""
    assert [old_truth(text) for text in ("yes", "Off", "y")] == [True, False, None]
    assert [old_integer(text) for text in ("1_000", "-0b1_1", "0b_", "1:30", "1")] == [
        1000,
        -3,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [
        ("null", "~", None),
        ("bool", "yes", True),
        ("bool", "true", True),
        ("int", "1_0", 10),
        ("float", "1", 1.0),
    ],
)
def test_tags(tag: str, text: str, value: Any) -> None:
    """Those of the core schema."""
    assert CONVERSIONS[tag](resolve(text), text) == value


@pytest.mark.parametrize(("tag", "text"), [("null", "1"), ("bool", "1"), ("int", "true"), ("float", "x")])
def test_tags_that_do_not_hold(tag: str, text: str) -> None:
    """A value is not what its tag says."""
    with pytest.raises(ValueError, match=text):
        CONVERSIONS[tag](resolve(text), text)
