"""What the records of a geo database say, in each of the shapes that there are.

Nested: MaxMind's and DB-IP's City, Country and Enterprise; a country is a map with its ``iso_code``. Flat:
one text or number for each key, as IPinfo and ip-location-db have them, and as MaxMind's ASN and ISP have
the number of the autonomous system. Which shape a database has is seen by its records; of what it is, it
says by its ``database_type``. Records are not believed: what has another type than its key promises is not
known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import maxminddb

from routing.place import CONTINENTS, Place, country_of, place_of

Record = Mapping[str, Any]
Reading = Callable[[Record], Place | None]

COUNTRY: Final = "countries"
SUBDIVISION: Final = "subdivisions"
ASN: Final = "ASNs"
"""What a database may know."""

ACCEPTED: Final = (
    "what is read are Country, City, Enterprise, ASN and ISP databases as MaxMind and DB-IP have them, and "
    "flat ones with country_code, country or asn, as IPinfo and ip-location-db have them"
)
MAX_ASN: Final = 2**32 - 1

_NESTED_KINDS: Final = ("city", "country", "enterprise", "location")
_COUNTRY_KEYS: Final = ("country_code", "country")
_CONTINENT_KEYS: Final = ("continent_code", "continent")
_ASN_KEYS: Final = ("autonomous_system_number", "asn")
_MOST_SUBDIVISIONS: Final = 4
_ASN_TEXT: Final = re.compile(r"(?:AS)?([0-9]{1,10})")


def reading_of(kind: str, records: Iterable[object]) -> tuple[Reading, frozenset[str]] | None:
    """Return how to read a database, and what it knows, by some of its records; None: nothing of use.

    Raises:
        InvalidDatabaseError: a record is not a map.
    """
    nested, flat = set[str](), set[str]()
    for record in records:
        if not isinstance(record, dict):
            raise maxminddb.InvalidDatabaseError("a record is not a map")
        for key, value in record.items():
            (nested if isinstance(value, dict | list) else flat).add(key)
        traits = record.get("traits")
        if isinstance(traits, dict) and _ASN_KEYS[0] in traits:
            flat.add(_ASN_KEYS[0])
    asns = {ASN} if flat.intersection(_ASN_KEYS) else set[str]()
    is_nested = nested & {"country", "registered_country", "continent"} and "country_code" not in flat
    if is_nested and any(each in kind.lower() for each in _NESTED_KINDS):
        return nested_place, frozenset({COUNTRY, *asns} | ({SUBDIVISION} & nested))
    if flat.intersection(_COUNTRY_KEYS):
        parts = {SUBDIVISION} if "region_code" in flat else set[str]()
        return flat_place, frozenset({COUNTRY, *asns, *parts})
    return (flat_place, frozenset(asns)) if asns else None


def nested_place(record: Record) -> Place | None:
    """Read a record as MaxMind builds them; the registered country stands in for an absent one.

    Raises:
        TypeError: a part of it has another shape.
    """
    code = _map(record, "country").get("iso_code") or _map(record, "registered_country").get("iso_code")
    place = place_of(code, _map(record, "continent").get("code"))
    asn = _asn(_map(record, "traits").get(_ASN_KEYS[0]))
    subdivisions = record.get("subdivisions")
    codes = _subdivisions(place.country, subdivisions) if subdivisions and place is not None else ()
    return _made(place, codes, asn)


def flat_place(record: Record) -> Place | None:
    """Read a record that has one value for each key."""
    country = record.get("country_code") or record.get("country")
    place = None
    if country is not None:
        continent = next((each for key in _CONTINENT_KEYS if _is_continent(each := record.get(key))), None)
        place = place_of(country, continent)
    asn = _asn(next((record[key] for key in _ASN_KEYS if key in record), None))
    region = record.get("region_code")
    codes = _codes(place.country, [region]) if region and place is not None else ()
    return _made(place, codes, asn)


def _made(place: Place | None, subdivisions: tuple[str, ...], asn: int) -> Place | None:
    if place is None:
        return Place(asn=asn) if asn else None
    return Place(place.country, place.continent, subdivisions, asn) if subdivisions or asn else place


def _map(record: Record, key: str) -> Record:
    found = record.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise TypeError(f"'{key}' is not a map")
    return found


def _is_continent(value: object) -> bool:
    return isinstance(value, str) and value in CONTINENTS


def _subdivisions(country: str, listed: object) -> tuple[str, ...]:
    if not isinstance(listed, list):
        return ()
    return _codes(
        country, [each.get("iso_code") for each in listed[:_MOST_SUBDIVISIONS] if isinstance(each, dict)]
    )


def _codes(country: str, parts: list[object]) -> tuple[str, ...]:
    """Return codes of ISO 3166-2; a database says CA, or US-CA."""
    names = [part for part in parts if isinstance(part, str)]
    codes = [part if part.startswith(f"{country}-") else f"{country}-{part}" for part in names]
    return tuple(code for code in codes if country_of(code))


def _asn(value: object) -> int:
    """Return the number, which may be text, as AS64500; 0: it is none."""
    if isinstance(value, str):
        found = _ASN_TEXT.fullmatch(value)
        value = int(found[1]) if found else 0
    return value if type(value) is int and 0 < value <= MAX_ASN else 0
