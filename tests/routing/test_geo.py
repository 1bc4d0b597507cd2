"""The geo database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import maxminddb
import pytest
from geoip2.database import Reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.geo import GeoError, Places
from routing.geo_records import ASN, COUNTRY, SUBDIVISION
from routing.place import CONTINENT_OF, CONTINENTS, Place
from tests.routing.mmdb import mmdb

GEO = Path(__file__).parents[1] / "data" / "geo"
CITY, COUNTRY_FILE = GEO / "GeoIP2-City-Test.mmdb", GEO / "GeoIP2-Country-Test.mmdb"
ASN_FILE = GEO / "GeoLite2-ASN-Test.mmdb"
FLAT = GEO / "country-ipv4-cc0.mmdb"
BAD = sorted((GEO / "bad").iterdir())
PROBES = ["81.2.69.142", "216.160.83.56", "2001:218::1", "1.1.1.1", "255.255.255.255", "::", "2.125.160.216"]


@pytest.mark.parametrize(
    ("database", "address", "place"),
    [
        (CITY, "81.2.69.142", Place("GB", "EU", ("GB-ENG",))),
        (COUNTRY_FILE, "81.2.69.142", Place("GB", "EU")),
        (CITY, "216.160.83.56", Place("US", "NA", ("US-WA",))),
        (CITY, "89.160.20.112", Place("SE", "EU", ("SE-E",))),
        (COUNTRY_FILE, "2001:218::1", Place("JP", "AS")),
        (CITY, "2.3.3.1", Place("", "EU")),
        (CITY, "214.1.1.1", None),
        (CITY, "127.0.0.1", None),
        (FLAT, "81.2.69.142", Place("GB", "EU")),
        (FLAT, "8.8.8.8", Place("US", "NA")),
        (FLAT, "2001:218::1", None),
        (FLAT, "127.0.0.1", None),
        (CITY, "", None),
        (CITY, "not an address", None),
    ],
)
def test_both_shapes_are_read(database: Path, address: str, place: Place | None) -> None:
    """MaxMind's nested records and the flat country code give the same kind of place."""
    assert Places.open(database).locate(address) == place


def test_table_agrees_with_maxmind() -> None:
    """The continents of the table are those that MaxMind's records name."""
    for path in (CITY, COUNTRY_FILE):
        for _, record in maxminddb.open_database(path):
            if "country" in record:
                assert CONTINENT_OF[record["country"]["iso_code"]] == record["continent"]["code"]


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country": {"iso_code": "FR"}, "continent": {"code": "EU"}}, Place("FR", "EU")),
        ({"country": {}, "registered_country": {"iso_code": "FR"}}, Place("FR", "EU")),
        ({"country": {"iso_code": "DE"}, "registered_country": {"iso_code": "FR"}}, Place("DE", "EU")),
        ({"country": {"iso_code": "ZZ"}, "continent": {"code": "EU"}}, Place("", "EU")),
        ({"continent": {"code": "EU"}}, Place("", "EU")),
        ({"registered_country": {"iso_code": "ZZ"}}, None),
        # Its owner is registered on another continent: its clients may be in any country of this one.
        ({"registered_country": {"iso_code": "US"}, "continent": {"code": "EU"}}, Place("", "EU")),
        ({"registered_country": {"iso_code": "US"}, "continent": {"code": "NA"}}, Place("US", "NA")),
        ({"country": "FR"}, None),
        ({"country": {"iso_code": 5}}, None),
        ({"traits": {}}, None),
    ],
)
def test_nested_record(record: dict[str, Any], place: Place | None, tmp_path: Path) -> None:
    """The registered country stands in for an absent one; a record of another shape places nobody."""
    known = {"country": {"iso_code": "US"}}
    (tmp_path / "x.mmdb").write_bytes(mmdb(known, record))

    places = Places.open(tmp_path / "x.mmdb")

    assert places.locate("1.0.0.1") == Place("US", "NA")
    assert places.locate("200.0.0.1") == place


@pytest.mark.parametrize(
    ("record", "place"),
    [
        ({"country_code": "FR"}, Place("FR", "EU")),
        ({"country_code": "ZZ"}, None),
        ({"country_code": {}}, None),
        ({"city": "Paris"}, None),
        ({}, None),
    ],
)
def test_flat_record(record: dict[str, Any], place: Place | None, tmp_path: Path) -> None:
    """The country code and the table give the place; a record without one places nobody."""
    (tmp_path / "x.mmdb").write_bytes(mmdb({"country_code": "US"}, record))

    places = Places.open(tmp_path / "x.mmdb")

    assert places.locate("1.0.0.1") == Place("US", "NA")
    assert places.locate("200.0.0.1") == place


def test_record_that_is_no_map_is_refused(tmp_path: Path) -> None:
    """A number is no record."""
    (tmp_path / "x.mmdb").write_bytes(mmdb({"country_code": "US"}, 5))

    with pytest.raises(GeoError, match=r"x\.mmdb: is not a sound MaxMind DB file"):
        Places.open(tmp_path / "x.mmdb")


def test_nested_database_of_unknown_kind_is_refused(tmp_path: Path) -> None:
    """Nested records are read only from what calls itself a country, city or enterprise database."""
    (tmp_path / "x.mmdb").write_bytes(mmdb({"country": {}}, {"country": {}}, kind="Weather"))

    with pytest.raises(
        GeoError, match="a database of 'Weather', with neither countries nor ASNs: what is read"
    ):
        Places.open(tmp_path / "x.mmdb")


def test_build_time_comes_from_the_file(tmp_path: Path) -> None:
    """The age that is checked is the one that the database states."""
    record = {"country_code": "US"}
    (tmp_path / "x.mmdb").write_bytes(mmdb(record, record, build_epoch=1_000_000))

    with pytest.raises(GeoError, match="is 10 days old"):
        Places.open(tmp_path / "x.mmdb").refuse_older_than(9, 1_000_000 + 10 * 86_400)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_file_is_refused_by_name(path: Path) -> None:
    """Each of MaxMind's corrupt files ends in an error at start that names it."""
    with pytest.raises(GeoError, match=path.name):
        Places.open(path)


def test_database_of_something_else_is_refused() -> None:
    """It would silently place nobody: what it is and what is read are said."""
    why = r"Anonymous-IP-Test.mmdb: is a database of 'GeoIP2-Anonymous-IP', with neither .*: what is read are Country"
    with pytest.raises(GeoError, match=why):
        Places.open(GEO / "GeoIP2-Anonymous-IP-Test.mmdb")


def test_what_a_file_calls_itself_is_cut(tmp_path: Path) -> None:
    """A hostile one says a lot."""
    (tmp_path / "x.mmdb").write_bytes(mmdb({"x": "y"}, {"x": "y"}, kind="W" * 250))

    with pytest.raises(GeoError, match=f"a database of '{'W' * 64}', with"):
        Places.open(tmp_path / "x.mmdb")


@pytest.mark.parametrize(
    ("database", "kind", "knows"),
    [
        (CITY, "GeoIP2-City", {COUNTRY, SUBDIVISION}),
        (COUNTRY_FILE, "GeoIP2-Country", {COUNTRY}),
        (ASN_FILE, "GeoLite2-ASN", {ASN}),
        (FLAT, "country ipv4", {COUNTRY}),
    ],
)
def test_what_a_database_knows(database: Path, kind: str, knows: set[str]) -> None:
    """By its own name and by its records."""
    places = Places.open(database)

    assert (places.kind, places.knows) == (kind, knows)


@pytest.mark.parametrize(
    ("address", "asn"), [("1.128.0.1", 1221), ("216.160.83.56", 209), ("2600:6000::1", 237), ("127.0.0.1", 0)]
)
def test_an_asn_database_names_the_autonomous_system(address: str, asn: int) -> None:
    """And no place: such a client may be anywhere."""
    assert Places.open(ASN_FILE).locate(address) == (Place(asn=asn) if asn else None)


@pytest.mark.parametrize(("path", "method"), [(CITY, "city"), (COUNTRY_FILE, "country")])
def test_records_are_read_as_geoip2_reads_them(path: Path, method: str) -> None:
    """For every network of MaxMind's own files, MaxMind's own reader says the same."""
    places = Places.open(path)
    with Reader(path) as reader:
        for network, _ in maxminddb.open_database(path):
            address = str(network.network_address)
            found = getattr(reader, method)(address)
            place = places.locate(address) or Place()
            assert place.country == (found.country.iso_code or found.registered_country.iso_code or "")
            assert place.continent == (found.continent.code or "")
            if method == "city" and place.country == found.country.iso_code:
                codes = [f"{place.country}-{part.iso_code}" for part in found.subdivisions if part.iso_code]
                assert list(place.subdivisions) == codes


def test_missing_file_is_named(tmp_path: Path) -> None:
    """With the reason that the system gives."""
    with pytest.raises(GeoError, match=r"none\.mmdb: cannot be read: No such file"):
        Places.open(tmp_path / "none.mmdb")


@pytest.mark.parametrize("content", [b"", b"not a database", b"\xab\xcd\xefMaxMind.com"])
def test_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    """An empty file, text, and a bare marker."""
    (tmp_path / "x.mmdb").write_bytes(content)

    with pytest.raises(GeoError, match=r"x\.mmdb: "):
        Places.open(tmp_path / "x.mmdb")


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_never_gets_past(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes are hit: the file is refused, or look-ups give a place or nothing, and end."""
    content = bytearray(COUNTRY_FILE.read_bytes())
    for offset in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=40)):
        content[offset] ^= data.draw(st.integers(1, 255))
    (tmp_path / "x.mmdb").write_bytes(content[: data.draw(st.integers(0, 2 * len(content)))])

    try:
        places = Places.open(tmp_path / "x.mmdb")
    except GeoError as error:
        assert "x.mmdb" in str(error)
    else:
        for probe in PROBES:
            place = places.locate(probe)
            assert place is None or place.country in CONTINENT_OF or place.continent in CONTINENTS


def test_lookup_that_fails_later_means_not_known() -> None:
    """A record that the trial did not see and that is corrupt places nobody."""

    def lookup(address: str) -> Place | None:
        raise maxminddb.InvalidDatabaseError(address)

    assert Places(CITY, lookup, 0).locate("1.2.3.4") is None


def test_age_is_checked() -> None:
    """A database is refused when it was built more than so many days before."""
    places = Places(CITY, lambda _: None, 1_000_000)

    places.refuse_older_than(2, 1_000_000 + 2 * 86_400)
    places.refuse_older_than(1, 0)
    with pytest.raises(GeoError, match=r"GeoIP2-City-Test\.mmdb: is 3 days old, and 2 are allowed"):
        places.refuse_older_than(2, 1_000_000 + 3 * 86_400)


def test_memory_of_addresses_is_bounded() -> None:
    """A flood of new addresses forgets old ones."""
    looked_up: list[str] = []
    places = Places(CITY, looked_up.append, 0)  # type: ignore[func-returns-value]

    for number in [*range(20_000), 19_999]:
        places.locate(str(number))

    assert len(looked_up) == 20_000
    assert repr(places) == "<Places GeoIP2-City-Test.mmdb, 16384 addresses remembered>"


async def test_lookups_may_come_from_many_tasks() -> None:
    """Concurrent look-ups of one database do not disturb each other."""
    places = Places.open(CITY)

    async def look(address: str) -> Place | None:
        await asyncio.sleep(0)
        return places.locate(address)

    found = await asyncio.gather(*(look(PROBES[n % 3]) for n in range(60)))

    assert {place and place.country for place in found} == {"GB", "US", "JP"}
