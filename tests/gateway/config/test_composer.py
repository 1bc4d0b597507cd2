"""Events into values, and where that ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.composer import MAX_DEPTH, MAX_VALUES, Composer
from gateway.config.errors import ConfigError

FILE = Path("some.yaml")
TAGGED = {"a": "5", "b": 5, "c": "5", "d": {}, "e": [], "f": "5"}
MIB = (1 << 20) - 100


def composed(text: str) -> Any:
    return Composer(FILE, text).compose()


def filled(unit: str, head: str = "", tail: str = "") -> str:
    """A file of just under 1 MiB."""
    return head + unit * ((MIB - len(head) - len(tail)) // len(unit)) + tail


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a: [1, x, {b: }]\nNO: no\n", {"a": [1, "x", {"b": None}], "NO": "no"}),
        ("a: &x [1]\nb: *x\nc: [*x, *x]\n", {"a": [1], "b": [1], "c": [[1], [1]]}),
        ("&k a: 1\nb: *k\n", {"a": 1, "b": "a"}),
        ("- &k a\n- {*k : *k}\n", ["a", {"a": "a"}]),
        ("a: !!str 5\nb: !!int 5\nc: ! 5\nd: !!map {}\ne: !!seq []\nf: !!str '5'\n", TAGGED),
        ("'<<': 1\n", {"<<": 1}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("a: '1'\nb: |\n  1\n", {"a": "1", "b": "1\n"}),
        ("a: !!int '5'\n", {"a": 5}),
    ],
)
def test_values(text: str, values: Any) -> None:
    """Keys are text as it is written; an alias is what it stands for."""
    assert composed(text) == values


@pytest.mark.parametrize(
    ("text", "place", "field", "message"),
    [
        ("", (0, 0), "", "holds nothing: the file is empty"),
        ("\n \n", (0, 0), "", "the file is empty"),
        ("# a\n", (0, 0), "", "holds nothing but comments"),
        ("a: 1\n---\nb: 1\n", (2, 1), "", "another document begins here"),
        ("a: 1\nb:\n  <<: {c: 1}\n", (3, 3), "b", "`<<` merges are not read"),
        ("a: 1\na: 2\n", (2, 1), "a", "stands twice in the same mapping, first in line 1"),
        ("? [a]\n: 1\n", (1, 3), "", "a key must be plain text"),
        ("a: &x [1]\n*x : 1\n", (2, 1), "", "a key must be plain text"),
        ("a: &x 1\nb: &x 2\n", (2, 4), "b", "the anchor `&x` stands twice, first in line 1"),
        ("a: &one 1\nb: *on\n", (2, 4), "b", "no anchor `&on` stands before this: did you mean `*one`"),
        ("b: *zz\n", (1, 4), "b", "write `&zz` before"),
        ("a: &a [*a]\n", (1, 8), "a[0]", "`*a` stands within what it stands for"),
        ("&a {name: *a}\n", (1, 11), "name", "`*a` stands within what it stands for"),
        (
            "a: !!python/object:os.system x\n",
            (1, 4),
            "a",
            "the tag !!python/object:os.system is not read here",
        ),
        ("a: !!set {x}\n", (1, 4), "a", "the tag !!set is not read"),
        ("a: !mine [x]\n", (1, 4), "a", "the tag !mine is not read"),
        ("a: !!binary aGk=\n", (1, 4), "a", "the tag !!binary is not read"),
        ("!!int a: 1\n", (1, 1), "", "the tag !!int is not read"),
        ("a: !!int x\n", (1, 4), "a", "`x` is not what its tag !!int says"),
        ('a: !!int ""\n', (1, 4), "a", "is not what its tag"),
        ("a: 1e400\n", (1, 4), "a", "at most 1.8e308"),
        ('a: "\\ud800"\n', (1, 7), "", "invalid Unicode character escape"),
    ],
)
def test_complaints(text: str, place: tuple[int, int], field: str, message: str) -> None:
    """Each in its own words, with line and column."""
    with pytest.raises(ConfigError) as caught:
        composed(text)

    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column, caught.value.field) == (*place, field)


HOSTILE = {
    "one key again and again": (filled("a: 1\n"), 2),
    "one key, in brackets": (filled("a,", "x: {"), 3),
    "brackets": (filled("["), MAX_DEPTH + 1),
    "lists of lists": (filled("- "), MAX_DEPTH + 1),
    "mappings of mappings": (filled("{a: "), MAX_DEPTH + 1),
    "keys that are mappings": (filled("{"), 1),
    "one anchor": (filled("- &a x\n"), 3),
    "aliases of nothing": (filled("- *a\n"), 1),
    "merges": (filled("- {<<: *a}\n", "- &a {b: 1}\n"), 4),
    "tags": (filled("- !a x\n"), 2),
    "documents": (filled("--- a\n"), 1),
    "scalars": (filled("a,", "x: [", "]"), MAX_VALUES + 1),
    "short lines": (filled("- a\n"), MAX_VALUES + 1),
    "nothings": (filled("-\n"), MAX_VALUES + 1),
    "empty lists": (filled("[],", "x: [", "]"), MAX_VALUES + 1),
    "aliases": (filled("- *a\n", "- &a x\n"), MAX_VALUES + 1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_files_end_at_the_first_limit(name: str) -> None:
    """A MiB of what is refused anyway is not composed first."""
    text, most = HOSTILE[name]
    composer = Composer(FILE, text)

    with pytest.raises(ConfigError):
        composer.compose()

    assert composer.num_values <= most, composer


def test_what_an_alias_stands_for_is_counted_and_not_made_again() -> None:
    """Ten to the ninth values: refused while a few hundred have been made."""
    text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
    )

    with pytest.raises(ConfigError, match="stands for more than") as caught:
        composed(text)

    assert caught.value.line == 5


def test_aliases_may_not_be_stacked_too_high() -> None:
    """What stands for what stands for something is as deep as all of it together."""
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40))

    with pytest.raises(ConfigError, match="nested more than 32 levels") as caught:
        composed(text)

    assert caught.value.line == MAX_DEPTH


def test_places_below_an_alias() -> None:
    """They are where it is written; the alias itself is where it stands."""
    composer = Composer(FILE, "a: &x\n  b: &y {c: 1}\nd: [*x]\ne: *y\n")
    composer.compose()

    assert composer.place(("d", 0)) == (3, 5)
    assert composer.place(("d", 0, "b")) == (2, 3)
    assert composer.place(("d", 0, "b", "c")) == (2, 10)
    assert composer.place(("e", "c", "none", "further")) == (2, 10)
    assert composer.place(("nothing",)) == (1, 1)
    assert (composer.plain_text(("d", 0, "b", "c")), composer.plain_text(("d",))) == ("1", None)


_TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=8)
_SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**20), 10**20), _TEXTS)
_KEYS = st.text(st.characters(categories=["L"]), min_size=1, max_size=5)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(_KEYS, _VALUES, min_size=1), st.booleans())
def test_what_is_written_is_read(values: Any, flow: bool) -> None:
    """As it was, whichever way it is written; PyYAML shares equal lists by anchors and aliases."""
    text = yaml.safe_dump(values, default_flow_style=flow, allow_unicode=True)

    assert composed(text) == values


@given(st.text(st.sampled_from("ab:-?,[]{}&*!|>'\"%@`#\n \t1.<~"), max_size=60))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    """Nothing else is ever raised."""
    try:
        composed(text)
    except ConfigError as error:
        assert str(error).startswith("some.yaml")
