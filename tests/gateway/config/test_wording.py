"""Types and misfits in words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import inspect

from gateway.config.wording import misfit, misfit_length, misfit_number, missing_fields, unknown_field, wanted


class Part(msgspec.Struct):
    percent: int = 0


class Whole(msgspec.Struct):
    name: str
    part: Part | None = None


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Whole, "a mapping of fields (name, part)"),
        (dict[str, int], "a mapping, each entry `name: value`"),
        (tuple[int, ...], "a list, such as `[a, b]` or lines that each begin with `- `"),
        (Literal["a", "b"], "one of a, b"),
        (str | Part | None, "a text or a mapping of fields (percent)"),
        (bool, "true or false"),
        (bytes, "another value"),
    ],
)
def test_wanted(kind: Any, expected: str) -> None:
    """In words of YAML."""
    assert wanted(inspect.type_info(kind)) == expected


@pytest.mark.parametrize(
    ("name", "meant"),
    [("nmae", "did you mean `name`? "), ("percent", "did you mean `part.percent`? "), ("zz", "")],
)
def test_unknown_fields(name: str, meant: str) -> None:
    """The one spelt alike, the one of that name further down, and which there are."""
    shape = inspect.type_info(Whole)
    assert isinstance(shape, inspect.StructType)

    assert unknown_field(name, shape) == f"unknown field; {meant}known here: name, part"
    assert missing_fields(["name"], shape) == "lacks `name`, which has no default; known here: name, part"


@pytest.mark.parametrize(
    ("meta", "text", "expected"),
    [
        ({"min_length": 1}, "", "is empty"),
        ({"min_length": 3}, "ab", "is shorter than 3 characters"),
        ({"max_length": 3}, "abcd", "has 4 characters, and 3 is the most"),
        ({"pattern": "^a$"}, "a", ""),
        ({"pattern": "^a$"}, "b", "does not match ^a$"),
        ({"pattern": r"^[0-9a-f]{64}\Z"}, "b", "is not 64 hexadecimal digits in small letters"),
        (
            {"pattern": r"^sha256:[0-9a-f]{64}\Z"},
            "b",
            "is not `sha256:` and 64 hexadecimal digits in small letters",
        ),
        (
            {"pattern": r"^(input|tenant|header:[A-Za-z0-9-]{1,64})\Z"},
            "tennant",
            "is not one of input, tenant, header:NAME; did you mean 'tenant'?",
        ),
    ],
)
def test_texts(meta: dict[str, Any], text: str, expected: str) -> None:
    """Why one does not fit."""
    shape = inspect.type_info(Annotated[str, msgspec.Meta(**meta)])
    assert isinstance(shape, inspect.StrType)

    assert misfit(text, shape) == expected


@pytest.mark.parametrize(
    ("meta", "value", "expected"),
    [
        ({"ge": 1, "lt": 5}, 5, "must be at least 1 and less than 5, and is 5"),
        ({"gt": 0, "le": 5_000}, 0, "must be more than 0 and at most 5,000, and is 0"),
        ({"ge": 1}, 1, ""),
    ],
)
def test_numbers(meta: dict[str, Any], value: float, expected: str) -> None:
    """Both bounds are named."""
    assert misfit_number(value, inspect.type_info(Annotated[int, msgspec.Meta(**meta)])) == expected


def test_lengths() -> None:
    """How many there are and may be."""
    shape = inspect.type_info(Annotated[tuple[int, ...], msgspec.Meta(min_length=1, max_length=3000)])

    assert misfit_length([], shape) == "has no entries, and needs 1 at least"
    assert misfit_length([0] * 3001, shape) == "has 3,001 entries, and 3,000 is the most"
    assert misfit_length([0], shape) == ""
