"""Which regions may see a request."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.place import Place
from routing.policy import Policy
from routing.rules.residency import NOWHERE, Allowed, allowed, regions_of
from tests.routing.policies import policy

REGIONS = ["eu-west", "us-east", "ap-south"]
CLASSES: dict[str, Any] = {
    "anywhere": {"regions": ["*"]},
    "eu-only": {"regions": ["eu-west"]},
    "gdpr": {"regions": ["eu-west"]},
    "west": {"regions": ["eu-west", "us-east"]},
    "east": {"regions": ["us-east", "ap-south"]},
    "moon": {"regions": ["moon"]},
}
TENANTS: dict[str, Any] = {name: {"residency": name} for name in CLASSES} | {"lost": {"residency": "none"}}
PLACES = st.sampled_from(
    [
        None,
        Place(),
        Place("DE", "EU"),
        Place("", "EU"),
        Place("US", "NA"),
        Place("JP", "AS"),
        Place("FR", "EU"),
    ]
)
RULES = st.dictionaries(
    st.sampled_from(["DE", "EU", "US", "NA", "JP", "AS", "NAM"]), st.sampled_from([*CLASSES, "none"])
)


def with_rules(places: dict[str, str]) -> Policy:
    return policy(residency=CLASSES, tenants=TENANTS, places=places)


@pytest.mark.parametrize(
    ("tenant", "places", "place", "residency", "regions"),
    [
        ("anywhere", {}, None, "anywhere", REGIONS),
        ("eu-only", {}, None, "eu-only", ["eu-west"]),
        ("anywhere", {"DE": "eu-only"}, Place("DE", "EU"), "eu-only", ["eu-west"]),
        ("anywhere", {"DE": "eu-only"}, Place("FR", "EU"), "anywhere", REGIONS),
        ("anywhere", {"EU": "eu-only"}, Place("FR", "EU"), "eu-only", ["eu-west"]),
        ("eu-only", {"DE": "anywhere"}, Place("DE", "EU"), "eu-only", ["eu-west"]),
        ("west", {"JP": "east"}, Place("JP", "AS"), "east&west", ["us-east"]),
        ("eu-only", {"JP": "east"}, Place("JP", "AS"), "east&eu-only", []),
        ("eu-only", {"DE": "gdpr"}, Place("DE", "EU"), "eu-only&gdpr", ["eu-west"]),
        ("anywhere", {"DE": "west", "EU": "eu-only"}, Place("DE", "EU"), "eu-only", ["eu-west"]),
        ("anywhere", {"DE": "eu-only", "JP": "west"}, None, "eu-only", ["eu-west"]),
        ("anywhere", {"DE": "eu-only", "JP": "east"}, None, "east&eu-only", []),
        ("anywhere", {"DE": "eu-only", "JP": "east"}, Place("", "EU"), "eu-only", ["eu-west"]),
        ("anywhere", {"DE": "none"}, Place("DE", "EU"), "none", []),
        ("lost", {}, None, "none", []),
        ("moon", {}, None, "moon", []),
    ],
)
def test_table(
    tenant: str, places: dict[str, str], place: Place | None, residency: str, regions: list[str]
) -> None:
    """Class of the tenant, met with every rule that the client's place may fall under."""
    decision = allowed(with_rules(places), tenant, place)

    assert decision == Allowed(residency, frozenset(regions))


def test_unknown_tenant_is_allowed_nothing() -> None:
    """Unknown is denied."""
    assert allowed(policy(), "initech", Place("DE", "EU")) == NOWHERE
    assert NOWHERE.regions == frozenset()


def test_unknown_class_has_no_regions() -> None:
    """Unknown is denied."""
    assert regions_of(policy(), "none") == frozenset()


@given(st.sampled_from([*TENANTS, "stranger"]), RULES, PLACES)
def test_place_only_narrows(tenant: str, places: dict[str, str], place: Place | None) -> None:
    """No rule for a place adds a region to what the tenant's class allows."""
    assert (
        allowed(with_rules(places), tenant, place).regions <= allowed(with_rules({}), tenant, place).regions
    )


@given(st.sampled_from([*TENANTS]), RULES, RULES, PLACES)
def test_more_rules_never_allow_more(
    tenant: str, fewer: dict[str, str], more: dict[str, str], place: Place | None
) -> None:
    """Narrowing is monotone: adding a rule never widens the set."""
    both = more | fewer

    assert (
        allowed(with_rules(both), tenant, place).regions <= allowed(with_rules(fewer), tenant, place).regions
    )


@given(st.sampled_from([*TENANTS]), RULES, PLACES)
def test_knowing_less_never_allows_more(tenant: str, places: dict[str, str], place: Place | None) -> None:
    """A client that hides its place gains nothing."""
    made = with_rules(places)

    assert allowed(made, tenant, None).regions <= allowed(made, tenant, place).regions
    if place:
        vague = Place("", place.continent)
        assert allowed(made, tenant, vague).regions <= allowed(made, tenant, place).regions


@given(st.sampled_from([*TENANTS]), RULES, PLACES, st.randoms())
def test_order_of_the_file_decides_nothing(
    tenant: str, places: dict[str, str], place: Place | None, chance: Any
) -> None:
    """Regions, classes and places may stand in any order."""

    def shuffled(table: dict[str, Any]) -> dict[str, Any]:
        items = list(table.items())
        chance.shuffle(items)
        return dict(items)

    other = policy(
        regions=shuffled({name: {} for name in REGIONS}),
        residency=shuffled(CLASSES),
        tenants=shuffled(TENANTS),
        places=shuffled(places),
    )

    assert allowed(other, tenant, place) == allowed(with_rules(places), tenant, place)


@given(st.sampled_from([*TENANTS]), st.sampled_from([*TENANTS]), RULES, PLACES, PLACES)
def test_one_class_has_one_set_of_regions(
    one: str, two: str, places: dict[str, str], here: Place | None, there: Place | None
) -> None:
    """Answers are shared by the class's name, so one name never stands for two sets of regions."""
    made = with_rules(places)
    first, second = allowed(made, one, here), allowed(made, two, there)

    if first.residency == second.residency:
        assert first.regions == second.regions


@given(st.sampled_from([*TENANTS, "stranger"]), RULES, PLACES, st.integers(1, 2**32 - 1))
def test_asn_and_parts_of_a_country_change_nothing(
    tenant: str, rules: dict[str, str], place: Place | None, asn: int
) -> None:
    """A client whose ASN alone is known may be anywhere, as one of whom nothing is known."""
    known = place or Place()
    parts = (f"{known.country}-X",) if known.country else ()
    more = Place(known.country, known.continent, parts, asn)

    assert allowed(with_rules(rules), tenant, more) == allowed(with_rules(rules), tenant, place)
