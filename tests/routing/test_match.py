"""The conditions of a route, as the policy has them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from routing.match import HeaderMatch, Match


@pytest.mark.parametrize(
    ("given", "is_conditional"),
    [
        ({}, False),
        ({"model": "a*", "tenants": ["acme"]}, False),
        ({"version": "2"}, True),
        ({"headers": {"X-Team": "a"}}, True),
        ({"places": ["DE"]}, True),
        ({"asns": [64500]}, True),
        ({"networks": ["10.0.0.0/8"]}, True),
        ({"percent": 5}, True),
        ({"percent": 100}, False),
    ],
)
def test_what_is_decided_for_each_request(given: dict[str, Any], is_conditional: bool) -> None:
    """Model and tenant alone are decided once."""
    assert msgspec.convert(given, Match).is_conditional is is_conditional


@pytest.mark.parametrize(
    "given",
    [
        {"percent": float("nan")},
        {"percent": 101},
        {"version": ""},
        {"headers": {"a": ""}},
        {"asn": 1},
        {"asns": [0]},
        {"asns": [2**32]},
        {"asns": ["AS64500"]},
        {"asns": [True]},
        {"asns": [64500] * 257},
    ],
)
def test_what_is_no_condition(given: dict[str, Any]) -> None:
    """Values outside of their range are refused while the policy is read."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, Match)


def test_a_text_is_an_exact_value() -> None:
    """The short form; names of headers have no case."""
    match = Match(headers={"X-Team": "a", "x-b": HeaderMatch(prefix="c")})

    assert match.header_matches == {"x-team": HeaderMatch(exact="a"), "x-b": HeaderMatch(prefix="c")}
