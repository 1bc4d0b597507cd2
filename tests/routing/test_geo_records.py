"""What records of each shape say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import maxminddb
import pytest

from routing.geo import Places
from routing.geo_records import ASN, COUNTRY, SUBDIVISION, flat_place, nested_place, reading_of
from routing.place import Place
from tests.routing.mmdb import mmdb_of

US: dict[str, Any] = {"country": {"iso_code": "US"}, "continent": {"code": "NA"}}
NUMBER, NAME = "autonomous_system_number", "autonomous_system_organization"

KINDS: dict[str, tuple[dict[str, Any], Place, set[str]]] = {
    "GeoLite2-Country": (US, Place("US", "NA"), {COUNTRY}),
    "GeoLite2-City": (
        US | {"subdivisions": [{"iso_code": "CA"}], "city": {"names": {"en": "x"}}},
        Place("US", "NA", ("US-CA",)),
        {COUNTRY, SUBDIVISION},
    ),
    "GeoIP2-Enterprise": (
        US | {"traits": {NUMBER: 64500}, "subdivisions": [{"iso_code": "CA"}]},
        Place("US", "NA", ("US-CA",), 64500),
        {COUNTRY, SUBDIVISION, ASN},
    ),
    "GeoLite2-ASN": ({NUMBER: 64500, NAME: "x"}, Place(asn=64500), {ASN}),
    "GeoIP2-ISP": ({NUMBER: 64500, "isp": "x", "organization": "y"}, Place(asn=64500), {ASN}),
    "DBIP-Country-Lite": (US, Place("US", "NA"), {COUNTRY}),
    "DBIP-City-Lite": (
        US | {"subdivisions": [{"names": {"en": "California"}}]},
        Place("US", "NA"),
        {COUNTRY, SUBDIVISION},
    ),
    "DBIP-ASN-Lite (compat=GeoLite2-ASN)": ({NUMBER: 64500}, Place(asn=64500), {ASN}),
    "DBIP-Location-ISP (compat=Enterprise)": (
        US | {"traits": {NUMBER: 64500}},
        Place("US", "NA", (), 64500),
        {COUNTRY, ASN},
    ),
    "ipinfo generic_country_asn_free.mmdb": (
        {
            "country": "US",
            "country_name": "United States",
            "continent": "NA",
            "asn": "AS64500",
            "as_name": "x",
        },
        Place("US", "NA", (), 64500),
        {COUNTRY, ASN},
    ),
    "ipinfo lite": (
        {
            "country": "United States",
            "country_code": "US",
            "continent": "North America",
            "continent_code": "NA",
        },
        Place("US", "NA"),
        {COUNTRY},
    ),
    "ipinfo standard_location.mmdb": (
        {"city": "x", "country": "US", "region": "California", "region_code": "CA"},
        Place("US", "NA", ("US-CA",)),
        {COUNTRY, SUBDIVISION},
    ),
    "country ipv4": ({"country_code": "US"}, Place("US", "NA"), {COUNTRY}),
    "asn ipv4": ({NUMBER: 64500, NAME: "x"}, Place(asn=64500), {ASN}),
}


@pytest.mark.parametrize("record_size", [24, 28, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_databases_of_each_kind_are_read(kind: str, record_size: int, tmp_path: Path) -> None:
    """From a file, in a network of IPv4 and one of IPv6; beside them nothing is known."""
    record, place, knows = KINDS[kind]
    networks = {"192.0.2.0/24": record, "2001:db8::/32": record}
    (tmp_path / "x.mmdb").write_bytes(mmdb_of(networks, kind=kind, record_size=record_size))

    places = Places.open(tmp_path / "x.mmdb")

    assert (places.kind, places.knows) == (kind, knows)
    assert places.locate("192.0.2.7") == place
    assert places.locate("2001:db8::7") == place
    assert places.locate("192.0.3.7") is None
    assert places.locate("2001:db9::7") is None


@pytest.mark.parametrize(
    ("record", "place"),
    [
        (US | {"subdivisions": "CA"}, Place("US", "NA")),
        (US | {"subdivisions": ["CA", {"iso_code": 5}, {}]}, Place("US", "NA")),
        (US | {"subdivisions": [{"iso_code": "US-CA"}]}, Place("US", "NA", ("US-CA",))),
        (US | {"subdivisions": [{"iso_code": "DE-BE"}]}, Place("US", "NA")),
        (US | {"subdivisions": [{"iso_code": "x" * 1000}]}, Place("US", "NA")),
        (
            US | {"subdivisions": [{"iso_code": f"C{number}"} for number in range(20)]},
            Place("US", "NA", ("US-C0", "US-C1", "US-C2", "US-C3")),
        ),
        ({"continent": {"code": "NA"}, "subdivisions": [{"iso_code": "CA"}]}, Place("", "NA")),
        ({"subdivisions": [{"iso_code": "CA"}]}, None),
        (US | {"traits": {NUMBER: "64500"}}, Place("US", "NA", (), 64500)),
        (US | {"traits": {NUMBER: True}}, Place("US", "NA")),
        (US | {"traits": {NUMBER: -1}}, Place("US", "NA")),
        (US | {"traits": {NUMBER: 2**32}}, Place("US", "NA")),
        ({"traits": {NUMBER: 5}}, Place(asn=5)),
        ({"continent": {"code": ["NA"]}}, None),
        ({}, None),
    ],
)
def test_nested_parts_of_a_wrong_type_are_not_known(record: dict[str, Any], place: Place | None) -> None:
    """And what else there is counts."""
    assert nested_place(record) == place


@pytest.mark.parametrize("key", ["country", "registered_country", "continent", "traits"])
@pytest.mark.parametrize("value", ["US", 5, ["US"], b"US", True])
def test_a_nested_record_of_another_shape_is_none(key: str, value: object) -> None:
    """Who asks takes the error as "not known"."""
    with pytest.raises(TypeError, match=f"'{key}' is not a map"):
        nested_place({key: value})


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country_code": ["US"]}, None),
        ({"country_code": 5, "asn": 64500}, Place(asn=64500)),
        ({"country_code": "us"}, None),
        ({"country_code": "", "country": "US"}, Place("US", "NA")),
        ({"country": "United States"}, None),
        ({"country": "US", "continent": "North America"}, Place("US", "NA")),
        ({"country": "US", "continent_code": 5, "continent": "NA"}, Place("US", "NA")),
        ({"country": "US", "region_code": ["CA"]}, Place("US", "NA")),
        ({"country": "ZZ", "region_code": "CA"}, None),
        ({"asn": "AS64500"}, Place(asn=64500)),
        ({"asn": "64500"}, Place(asn=64500)),
        ({"asn": "AS"}, None),
        ({"asn": "AS9" + "9" * 10_000}, None),
        ({"asn": "AS99999999999"}, None),
        ({"asn": "\uff15"}, None),
        ({"asn": 64500.0}, None),
        ({"asn": {"x": 5}}, None),
        ({"asn": 0}, None),
        ({"asn": None, NUMBER: 5}, Place(asn=5)),
        ({}, None),
    ],
)
def test_flat_values_of_a_wrong_type_are_not_known(record: dict[str, Any], place: Place | None) -> None:
    """A number that is text is read, for some databases have that."""
    assert flat_place(record) == place


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        ("GeoIP2-Anonymous-IP", [{"is_anonymous": True}]),
        ("GeoIP2-Domain", [{"domain": "example.com"}]),
        ("GeoIP2-Connection-Type", [{"connection_type": "Cellular"}]),
        ("Weather", [{"country": {"iso_code": "US"}}]),
        ("GeoLite2-Country", []),
        ("GeoLite2-Country", [{}]),
    ],
)
def test_a_database_of_something_else_has_no_reading(kind: str, records: list[object]) -> None:
    """Nothing of it says where clients are."""
    assert reading_of(kind, records) is None


def test_a_record_that_is_no_map_is_no_record() -> None:
    """The database is not sound."""
    with pytest.raises(maxminddb.InvalidDatabaseError):
        reading_of("GeoLite2-Country", [US, "US"])
