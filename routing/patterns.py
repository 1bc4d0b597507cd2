"""Patterns of models' names, and what is done with them in time that grows with the name alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final

from routing.match import ANY

MOST_OTHERS: Final = 64
"""Patterns that are no prefixes: each is tried by itself, on the models of requests and on other patterns."""

_REMEMBERED: Final = 4096


def is_prefix(pattern: str) -> bool:
    """Whether a pattern is the beginning of a name with one ``*`` behind it."""
    return pattern.endswith(ANY) and not is_name(pattern) and is_name(pattern[:-1])


def is_name(pattern: str) -> bool:
    """Whether a pattern means one model."""
    return ANY not in pattern and "?" not in pattern


def others_of(patterns: Iterable[str]) -> set[str]:
    """Return those that are neither names nor prefixes."""
    return {each for each in set(patterns) if not is_name(each) and not is_prefix(each)}


def covers(pattern: str, model: str) -> bool:
    """Whether ``pattern`` matches a model, or all that another pattern matches."""
    return name_test(pattern)(model)


@lru_cache(_REMEMBERED)
def name_test(pattern: str) -> Callable[[str], bool]:
    """Return what says whether ``pattern`` covers a model, or another pattern."""
    if is_name(pattern):
        return pattern.__eq__
    if is_prefix(pattern):
        prefix = pattern[:-1]
        return lambda model: model.startswith(prefix)
    match = _compiled(pattern).match
    return lambda model: match(model) is not None


def _compiled(pattern: str) -> re.Pattern[str]:
    """Make an expression that goes through a name once: what a ``*`` has taken is never given back.

    The ``*`` of another pattern is taken by a ``*`` only.
    """
    first, *rest = pattern.split(ANY)
    text = _literal(first)
    if rest:
        *middle, last = rest
        text += "".join(f"(?>.*?{_literal(part)})" for part in middle if part)
        # As much as the last part takes must be left, and the name must end in it.
        text += f"(?=.{{{len(last)}}})(?>.*)(?<={_literal(last)})" if last else "(?>.*)"
    return re.compile(f"{text}\\Z", re.DOTALL)


def _literal(text: str) -> str:
    return "".join("[^*]" if letter == "?" else re.escape(letter) for letter in text)
