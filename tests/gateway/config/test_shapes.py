"""All that is wrong, and scalars as their fields want them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from gateway.config.composer import Composer
from gateway.config.shapes import MOST, check


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: Annotated[int, Meta(ge=1, le=9)] = 1


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    low: float = 0
    high: float = 1

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Whole(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    name: str
    source: str = ""
    on: bool = False
    count: Annotated[int, Meta(ge=1)] | Literal["auto"] = 1
    share: Annotated[float, Meta(ge=0, le=100)] = 0
    mode: Literal["nearest", "failover"] = "nearest"
    short: Literal["a", "b"] | Part = "a"
    listed: str | tuple[str, ...] = ()
    parts: Annotated[list[Part], Meta(max_length=3)] = []
    table: dict[Annotated[str, Meta(pattern="^[a-z]+$")], Part | str] = {}
    texts: tuple[str, ...] = ()
    pair: Pair | None = None


def found(text: str) -> tuple[Any, list[str], list[str]]:
    composer = Composer(Path("f"), text)
    checked = check(composer.compose(), Whole, composer.plain_text)
    complaints, remarks = (
        [f"{'.'.join(map(str, each.path))}: {each.text}" for each in some]
        for some in (checked.complaints, checked.remarks)
    )
    return checked.values, complaints, remarks


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("name: ~", ["name: expected a text, and here is no value"]),
        ("name: [a]", ["name: expected a text, and here is a list"]),
        ("nam: a", ["nam: unknown field; did you mean `name`?", ": lacks `name`"]),
        ("name: a\ncount: 0", ["count: must be at least 1, and is 0"]),
        ("name: a\ncount: atuo", ["count: expected one of auto, and here is 'atuo'; did you mean 'auto'?"]),
        ("name: a\ncount: [1]", ["count: expected a whole number or one of auto, and here is a list"]),
        ("name: a\ncount: 1.5", ["count: expected a whole number, and here is `1.5`"]),
        ("name: a\ncount: '5'", ['count: expected one of auto, and here is the quoted text "5"']),
        ("name: a\non: 'yes'", ['on: expected true or false, and here is the quoted text "yes"']),
        ("name: a\non: {a: 1}", ["on: expected true or false, and here is a mapping"]),
        ("name: a\nshare: .nan", ["share: expected a number, and here is '.nan': `.nan` is no number"]),
        ("name: a\nshare: true", ["share: expected a number, and here is `true`"]),
        (
            "name: a\nshare: 1:30",
            ["share: expected a number, and here is '1:30': YAML 1.1 reads `1:30` as 90"],
        ),
        (
            "name: a\nmode: neerest",
            ["mode: expected one of failover, nearest, and here is 'neerest'; did you mean"],
        ),
        ("name: a\nmode: []", ["mode: expected one of failover, nearest, and here is a list"]),
        ("name: a\nshort: c", ["short: expected one of a, b, and here is 'c'"]),
        ("name: a\nshort: {size: 0}", ["short.size: must be at least 1 and at most 9, and is 0"]),
        ("name: a\nlisted: [a, ~]", ["listed.1: expected a text, and here is no value"]),
        ("name: a\nparts: {}", ["parts: expected a list"]),
        ("name: a\nparts: [{}, {}, {}, 5]", ["parts: has 4 entries, and 3 is the most"]),
        ("name: a\nparts: [5, {size: a}]", ["parts.0: expected a mapping", "parts.1.size: expected a whole"]),
        ("name: a\ntable: []", ["table: expected a mapping"]),
        ("name: a\ntable: {A: x}", ["table.A: the name 'A' does not match"]),
        ("name: a\npair: {low: 2}", ["pair: low is above high"]),
        ("[]", [": expected a mapping of fields (name, from"]),
    ],
)
def test_every_complaint(text: str, complaints: list[str]) -> None:
    """Each names what is wanted, what is there and which is near."""
    _, told, _ = found(text)

    assert len(told) == len(complaints)
    for each, beginning in zip(told, complaints, strict=True):
        assert each.startswith(beginning)


def test_texts_are_as_they_are_written() -> None:
    """NO is Norway, 1.10 is a version, and so is 012."""
    values, complaints, remarks = found(
        "name: 1.10\ntexts: [NO, 012, 1:30, true, 2026-01-01, 1e3]\ntable: {a: 5}\n"
    )

    assert values["name"] == "1.10"
    assert values["texts"] == ["NO", "012", "1:30", "true", "2026-01-01", "1e3"]
    assert values["table"] == {"a": "5"}
    assert not complaints
    assert not remarks


def test_what_yaml_1_1_alone_reads_is_read_with_a_remark() -> None:
    """Today's files keep working."""
    values, complaints, remarks = found("name: a\non: yes\ncount: 1_000\n")

    assert (values["on"], values["count"]) == (True, 1000)
    assert not complaints
    assert remarks == [
        "on: `yes` is true in YAML 1.1 alone: write `true`",
        "count: `1_000` is 1000 in YAML 1.1 alone: write that",
    ]


def test_complaints_end() -> None:
    """Nobody reads thousands of them."""
    _, complaints, _ = found("name: a\n" + "".join(f"k{number}: 1\n" for number in range(1000)))

    assert len(complaints) == MOST


_PLAIN = st.sampled_from(
    ["yes", "1", "1.5", "0", "a", "auto", "nearest", "1:30", ".nan", "~", "'1'", "{}", "[]", "[a]"]
)
_FIELDS = st.sampled_from([*(field.encode_name for field in msgspec.structs.fields(Whole)), "other"])


@given(st.dictionaries(_FIELDS, _PLAIN | _PLAIN.map("{{size: {0}}}".format), min_size=1))
def test_without_complaints_the_type_takes_it(fields: dict[str, str]) -> None:
    """And whatever the type takes as it is draws none."""
    composer = Composer(Path("f"), "".join(f"{name}: {value}\n" for name, value in fields.items()))
    values = composer.compose()
    checked = check(values, Whole, composer.plain_text)

    if not checked.complaints:
        msgspec.convert(checked.values, Whole)
        return
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(values, Whole)
