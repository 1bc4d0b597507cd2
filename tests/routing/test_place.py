"""Codes of countries and continents."""

from __future__ import annotations

import pytest

from routing.place import (
    CODES,
    CONTINENT_OF,
    CONTINENTS,
    UNKNOWN,
    Place,
    codes_of,
    container_of,
    country_of,
    may_be_in,
    place_named,
    place_of,
    precision,
)

GERMANY = Place("DE", "EU")


def test_table_has_each_country_once() -> None:
    """All 249 ISO countries and Kosovo, none of them twice."""
    assert len(CONTINENT_OF) == 250
    assert set(CONTINENT_OF.values()) == CONTINENTS


@pytest.mark.parametrize(
    ("country", "continent", "place"),
    [
        ("DE", "EU", GERMANY),
        ("DE", None, GERMANY),
        (None, "EU", Place("", "EU")),
        ("ZZ", "EU", Place("", "EU")),
        ("DE", "XX", GERMANY),
        ("ZZ", None, None),
        (None, None, None),
        (5, ["EU"], None),
        (["DE"], {}, None),
    ],
)
def test_place_holds_only_codes(country: object, continent: object, place: Place | None) -> None:
    """What is no code counts as not said, and a country tells its continent."""
    assert place_of(country, continent) == place


@pytest.mark.parametrize(
    ("place", "code", "answer"),
    [
        (GERMANY, "DE", True),
        (GERMANY, "FR", False),
        (GERMANY, "EU", True),
        (GERMANY, "AS", False),
        (Place("", "EU"), "DE", True),
        (Place("", "AS"), "DE", False),
        (Place("", "AS"), "EU", False),
        (Place("DE", ""), "EU", True),
        (Place("", "EU"), "no such code", True),
        (Place("NA", "AF"), "NA", False),
        (Place("NA", "AF"), "NAM", True),
        (Place("US", "NA"), "NA", True),
        (Place("SA", "AS"), "SAU", True),
        (Place("SA", "AS"), "SA", False),
        # A database that has another idea of continents takes nobody out of the rules for their own.
        (Place("CY", "AS"), "EU", True),
        (Place("CY", "AS"), "AS", True),
        (Place("CY", "AS"), "CY", True),
        (Place("CY", "AS"), "AF", False),
        (Place("DE", "NA"), "EU", True),
    ],
)
def test_place_may_be_where_nothing_speaks_against_it(place: Place, code: str, answer: bool) -> None:
    """A known country decides; an unknown one may be any in its continent; NA is a continent, NAM Namibia."""
    assert may_be_in(place, code) is answer


@pytest.mark.parametrize("place", [None, UNKNOWN])
def test_unknown_place_may_be_anywhere(place: Place | None) -> None:
    """No code can be ruled out for a client that nobody can place."""
    assert all(may_be_in(place, code) for code in CODES)


@pytest.mark.parametrize(
    ("place", "code", "rank"),
    [(GERMANY, "DE", 2), (GERMANY, "EU", 1), (GERMANY, "FR", 0), (UNKNOWN, "EU", 0), (UNKNOWN, "DE", 0)],
)
def test_country_names_a_place_better_than_its_continent(place: Place, code: str, rank: int) -> None:
    """Two for the country, one for the continent, none for anything else."""
    assert precision(place, code) == rank


@pytest.mark.parametrize(
    ("code", "country"),
    [("US-CA", "US"), ("GB-ENG", "GB"), ("AF-KAB", "AF"), ("AT-9", "AT")]
    + [(code, "") for code in ("US", "US-", "US-CALI", "us-ca", "XX-CA", "EU-DE", "US-CA\n", "", "AFG-KAB")],
)
def test_parts_of_countries_have_codes_of_iso_3166_2(code: str, country: str) -> None:
    """Their form and their country are checked; there is no table of them all."""
    assert country_of(code) == country


@pytest.mark.parametrize(
    ("code", "place"),
    [
        ("EU", Place("", "EU")),
        ("DE", GERMANY),
        ("NA", Place("", "NA")),
        ("NAM", Place("NA", "AF")),
        ("US-CA", Place("US", "NA", ("US-CA",))),
        ("XX", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_a_code_names_a_place(code: str, place: Place) -> None:
    """One whose codes have it among them; what is no code names none."""
    assert place_named(code) == place
    assert place == UNKNOWN or code in codes_of(place)


@pytest.mark.parametrize(
    ("code", "others", "wider"),
    [
        ("DE", {"EU", "DE"}, "EU"),
        ("DE", {"DE", "AS"}, ""),
        ("EU", {"EU", "DE"}, ""),
        ("NAM", {"NA", "AF"}, "AF"),
        ("US-CA", {"US", "NA"}, "US"),
        ("US-CA", {"NA"}, "NA"),
        ("NA-KH", {"NA"}, ""),
        ("NA-KH", {"NAM"}, "NAM"),
        ("US-CA", {"US-NY"}, ""),
    ],
)
def test_what_a_code_is_within(code: str, others: set[str], wider: str) -> None:
    """A country in its continent, a part in its country; letters that are both mean what they mean."""
    assert container_of(code, others) == wider


def test_another_asn_is_another_place_of_the_same_country() -> None:
    """Nothing else changes; the same one is the same place."""
    place = Place("US", "NA", ("US-CA",), 1)

    assert place.of_asn(2) == Place("US", "NA", ("US-CA",), 2)
    assert place.of_asn(1) is place
