"""Who the operator is."""

from __future__ import annotations

from hashlib import sha256

import pytest

from gateway.core.operator import OperatorTokens

TOKENS = OperatorTokens(sha256(token.encode()).hexdigest() for token in ("first-token", "second-token"))


@pytest.mark.parametrize(
    "value",
    ["Bearer first-token", "bearer second-token", "  BEARER   first-token  ", "Bearer\tx first-token"],
)
def test_each_token_is_taken(value: str) -> None:
    """Two at once let an operator change them one after the other."""
    assert TOKENS.accepts(value) is ("\t" not in value)


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "first-token", "Basic first-token", "Bearer third", "Bearer first-token second-token",
     "Bearer \udcff", f"Bearer {sha256(b'first-token').hexdigest()}"],
)  # fmt: skip
def test_nothing_else_is_taken(value: str) -> None:
    """A token without its scheme, and the hash that the settings show, are none."""
    assert not TOKENS.accepts(value)


def test_without_tokens_nobody_is_the_operator() -> None:
    """Also not who sends an empty one."""
    nobody = OperatorTokens()

    assert not nobody
    assert not nobody.accepts("Bearer ")
    assert not nobody.accepts("")


def test_tokens_are_not_shown() -> None:
    """Neither they nor their hashes."""
    assert repr(TOKENS) == "<OperatorTokens 2>"
    assert TOKENS
