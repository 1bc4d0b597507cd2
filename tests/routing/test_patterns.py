"""Patterns of models' names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.patterns import covers, is_name, is_prefix

PATTERNS = st.text("ab*?", max_size=6)


@given(PATTERNS, st.text("abc", max_size=8))
def test_a_pattern_means_what_a_plain_expression_means(pattern: str, model: str) -> None:
    """Going through a name once finds what trying everything finds."""
    plain = "".join({"*": ".*", "?": "."}.get(letter, letter) for letter in pattern)

    assert covers(pattern, model) == bool(re.fullmatch(plain, model))


@given(PATTERNS, PATTERNS, st.text("abc", max_size=8))
def test_covering_is_transitive(outer: str, inner: str, model: str) -> None:
    """What a covered pattern matches, the covering one matches too."""
    if covers(outer, inner) and covers(inner, model):
        assert covers(outer, model)


@pytest.mark.parametrize(
    ("pattern", "name", "prefix"),
    [("", True, False), ("a", True, False), ("a*", False, True), ("*", False, True), ("a?*", False, False)],
)
def test_kinds_of_patterns(pattern: str, name: bool, prefix: bool) -> None:
    """Names and prefixes can be looked up."""
    assert (is_name(pattern), is_prefix(pattern)) == (name, prefix)


def test_a_long_name_is_gone_through_once() -> None:
    """A pattern that would try everything on a name made for it ends at once (else: never)."""
    assert not covers("a*" * 60 + "b", "a" * 20_000)
