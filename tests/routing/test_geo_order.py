"""Several geo databases beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from routing.geo import Places
from routing.geo_order import PlacesInOrder, places_merged
from routing.place import Place

GEO = Path(__file__).parents[1] / "data" / "geo"
DE, FR, EUROPE, ASIA = Place("DE", "EU"), Place("FR", "EU"), Place("", "EU"), Place("", "AS")


@pytest.mark.parametrize(
    ("places", "together"),
    [
        ([], None),
        ([None, None], None),
        ([DE, FR], DE),
        ([None, FR], FR),
        ([DE, Place(asn=5)], Place("DE", "EU", (), 5)),
        ([Place(asn=5), DE], Place("DE", "EU", (), 5)),
        ([Place(asn=5), Place(asn=6)], Place(asn=5)),
        ([Place("DE", "EU", ("DE-BE",), 5), Place("FR", "EU", (), 6)], Place("DE", "EU", ("DE-BE",), 5)),
        ([Place("DE", "EU", ("DE-BE",)), Place(asn=6)], Place("DE", "EU", ("DE-BE",), 6)),
        ([EUROPE, DE], DE),
        ([EUROPE, Place("JP", "AS")], EUROPE),
        ([ASIA, DE, Place(asn=7)], Place("", "AS", (), 7)),
        ([DE, Place("DE", "EU", ("DE-BE",))], DE),
    ],
)
def test_the_first_that_knows_decides(places: list[Place | None], together: Place | None) -> None:
    """Country, continent and parts are of one database; the ASN may be another's."""
    assert places_merged(places) == together


def test_a_city_and_an_asn_database_beside_each_other() -> None:
    """Each says what it knows."""
    order = PlacesInOrder(
        [Places.open(GEO / f"{name}-Test.mmdb") for name in ("GeoLite2-ASN", "GeoIP2-City")]
    )

    assert order.locate("216.160.83.56") == Place("US", "NA", ("US-WA",), 209)
    assert order.locate("1.128.0.1") == Place(asn=1221)
    assert order.locate("81.2.69.142") == Place("GB", "EU", ("GB-ENG",))
    assert order.locate("127.0.0.1") is None
    assert order.locate("") is None
    assert repr(order) == "<PlacesInOrder of 2, 4 addresses remembered>"


def test_it_remembers_until_it_is_told_to_forget() -> None:
    """Each address is looked up once; a flood of new ones forgets the old ones."""
    looked_up: list[str] = []
    order = PlacesInOrder([Places(GEO, looked_up.append, 0)])  # type: ignore[func-returns-value]
    for _ in range(3):
        order.locate("192.0.2.1")
    assert looked_up == ["192.0.2.1"]
    order.forget()
    order.locate("192.0.2.1")
    assert len(looked_up) == 2

    for number in range(20_000):
        order.locate(str(number))

    assert repr(order) == "<PlacesInOrder of 1, 16384 addresses remembered>"
