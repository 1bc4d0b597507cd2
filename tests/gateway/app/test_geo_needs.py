"""What a policy asks of clients' places that nobody here can know."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.app.geo_needs import unmet
from routing.geo_records import ASN, COUNTRY, SUBDIVISION
from tests.routing.policies import policy, route

RULES = "no geo database has countries: every rule of `places` holds for every client"
ASNS = {"asns": [13335]}


def missing(match: dict[str, Any], *knows: str, **changes: Any) -> list[str]:
    routes = [route("a") | {"match": match}, route("b") | {"match": match}, route("c")]
    return list(unmet(policy(routes=routes, **changes), frozenset(knows)))


@pytest.mark.parametrize(
    ("match", "knows", "what", "field"),
    [
        (ASNS, {COUNTRY}, ASN, "asns"),
        ({"places": ["DE"]}, {ASN}, COUNTRY, "places"),
        ({"places": ["US-CA"]}, {COUNTRY}, SUBDIVISION, "places"),
    ],
)
def test_what_no_database_knows_is_said(
    match: dict[str, Any], knows: set[str], what: str, field: str
) -> None:
    """With the first route that asks for it, and how many more do."""
    sentence = f"no geo database has {what}: no request meets `{field}` of route 'a' and 1 more"

    assert missing(match, *knows, places={}) == [sentence]
    assert missing(match, *knows, what, places={}) == []


def test_rules_of_residency_hold_for_all_where_no_country_is_known() -> None:
    """Which is safe, and hardly what was meant."""
    assert missing({}) == [RULES]
    assert missing({}, ASN) == [RULES]
    assert missing({}, COUNTRY) == []
    assert missing({}, places={}) == []


def test_the_policy_itself_may_know() -> None:
    """Some network of its table has it."""
    table = {"10.0.0.0/8": {"place": "US-CA", "asn": 64500}}
    match = {"places": ["DE", "US-CA"]} | ASNS

    assert len(missing(match)) == 4
    assert missing(match, networks=table) == []
    assert len(missing(match, networks={"10.0.0.0/8": "DE"})) == 2
