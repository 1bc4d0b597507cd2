"""Which models a server holds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.catalog import IndexEntry
from routing.holdings import Holdings, split


@pytest.mark.parametrize(
    ("entries", "model", "version", "held"),
    [
        (["digits"], "digits", "", True),
        (["digits"], "digits", "7", True),
        (["digits"], "digit", "", False),
        (["digits:2"], "digits", "2", True),
        (["digits:2"], "digits", "", True),
        (["digits:2"], "digits", "1", False),
        (["digits:1", "digits:2"], "digits", "1", True),
        (["digits:1", "digits"], "digits", "9", True),
        (["digits", "digits:1"], "digits", "9", True),
        (["vision-*"], "vision-small", "3", True),
        (["vision-*"], "audio", "", False),
        (["vision-*:3"], "vision-small", "3", True),
        (["vision-*:3"], "vision-small", "", True),
        (["vision-*:3"], "vision-small", "4", False),
        (["vision-?"], "vision-1", "", True),
        (["digits:1", "dig*:2"], "digits", "2", True),
        (["*"], "anything", "1", True),
        # A name that has a colon itself.
        (["llama3?8b"], "llama3:8b", "", True),
    ],
)
def test_a_list_of_a_policy(entries: list[str], model: str, version: str, held: bool) -> None:
    """Names and patterns of all versions, or of one; what is not listed is not held."""
    assert Holdings.listed(entries).has(model, version) is held


def test_an_index_has_what_is_ready() -> None:
    """A version that is loading or unloaded is not held; a server without versions holds all of them."""
    found = Holdings.indexed(
        [
            IndexEntry("digits", "1", "READY"),
            IndexEntry("digits", "2", "READY"),
            IndexEntry("digits", "3", "UNAVAILABLE", "unloaded"),
            IndexEntry("digits", "4", "LOADING"),
            IndexEntry("gone", "1", "UNAVAILABLE"),
            IndexEntry("never-loaded", "", ""),
            IndexEntry("plain", "", "READY"),
            IndexEntry("named", "", "UNKNOWN"),
            IndexEntry("odd", "1", "UNKNOWN"),
        ]
    )

    assert found.lines() == ["digits:1,2", "named", "plain"]
    assert [found.has("digits", version) for version in ("", "1", "2", "3", "4")] == [True] * 3 + [False] * 2
    assert found.has("plain", "17")
    assert found.has("named", "17")
    assert not any(found.has(name, "") for name in ("gone", "never-loaded", "odd"))


def test_without() -> None:
    """One version, or the model; the others stay."""
    held = Holdings.listed(["digits:1", "digits:2", "plain", "vision-*"])

    assert held.without("digits", "1").lines() == ["digits:2", "plain", "vision-*"]
    assert held.without("digits", "1").without("digits", "2").lines() == ["plain", "vision-*"]
    assert held.without("digits", "").lines() == ["plain", "vision-*"]
    assert held.without("nothing", "1") == held
    assert held.lines() == ["digits:1,2", "plain", "vision-*"]


def test_one_version_of_all_is_not_taken_away() -> None:
    """A server without versions refuses one that somebody made up: it holds its model nevertheless."""
    held = Holdings.listed(["plain"])

    assert held.without("plain", "17") == held


def test_versions_are_in_the_order_of_numbers() -> None:
    """People read them."""
    assert Holdings.listed(["m:10", "m:9", "m:1"]).lines() == ["m:1,9,10"]


@pytest.mark.parametrize(
    ("entry", "parts"),
    [("m", ("m", "")), ("m:1", ("m", "1")), ("a:b:1", ("a:b", "1")), (":1", ("", "1")), ("m:", ("m", ""))],
)
def test_split(entry: str, parts: tuple[str, str]) -> None:
    """The version is behind the last colon."""
    assert split(entry) == parts


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]))))
def test_a_list_and_an_index_of_the_same_are_equal(pairs: list[tuple[str, str]]) -> None:
    """In any order, so that members that hold the same are known to."""
    listed = Holdings.listed([":".join(filter(None, pair)) for pair in pairs])
    indexed: Any = Holdings.indexed([IndexEntry(*pair, "READY") for pair in reversed(pairs)])

    assert listed == indexed
