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
from functools import lru_cache
from typing import Any, Final

import maxminddb

from routing.place import CONTINENT_OF, CONTINENTS, Place, country_of, place_of

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
_ASN_KEYS: Final = ("autonomous_system_number", "asn")
_MOST_SUBDIVISIONS: Final = 4
_LONGEST: Final = 6
"""Characters of a part: those of US-CAL."""

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

    Where that is on another continent than the record, its owner is elsewhere than its clients: these may be
    in any country of the continent.

    Raises:
        TypeError: a part of it has another shape.
    """
    code, around = _map(record, "country").get("iso_code"), _map(record, "continent").get("code")
    place = place_of(code or _map(record, "registered_country").get("iso_code"), around)
    if not code and place is not None and CONTINENT_OF.get(place.country, place.continent) != place.continent:
        place = place_of(None, place.continent)
    asn = _asn(_map(record, "traits").get(_ASN_KEYS[0]))
    return _made(place, _parts(record.get("subdivisions")), asn)


def flat_place(record: Record) -> Place | None:
    """Read a record that has one value for each key."""
    asn = record.get(_ASN_KEYS[0])
    if asn is None:
        asn = record.get(_ASN_KEYS[1])
    number = 0 if asn is None else _asn(asn)
    country = record.get("country_code") or record.get("country")
    if country is None:
        return Place(asn=number) if number else None
    continent = record.get("continent_code")
    if not isinstance(continent, str) or continent not in CONTINENTS:
        continent = record.get("continent")
    region = record.get("region_code")
    return _made(place_of(country, continent), [] if region is None else [region], number)


def _made(place: Place | None, parts: list[object], asn: int) -> Place | None:
    if place is None:
        return Place(asn=asn) if asn else None
    if not parts or not place.country:
        return place.of_asn(asn)
    codes = (_code(place.country, part) for part in parts if isinstance(part, str) and len(part) <= _LONGEST)
    return Place(place.country, place.continent, tuple(filter(None, codes)), asn)


def _map(record: Record, key: str) -> Record:
    found = record.get(key)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise TypeError(f"'{key}' is not a map")
    return found


def _parts(listed: object) -> list[object]:
    if not isinstance(listed, list):
        return []
    return [each.get("iso_code") for each in listed[:_MOST_SUBDIVISIONS] if isinstance(each, dict)]


@lru_cache(4096)
def _code(country: str, part: str) -> str:
    """Return a code of ISO 3166-2, for a database says CA, or US-CA; empty: it is none."""
    code = part if part.startswith(f"{country}-") else f"{country}-{part}"
    return code if country_of(code) else ""


def _asn(value: object) -> int:
    """Return the number, which may be text, as AS64500; 0: it is none."""
    if isinstance(value, str):
        found = _ASN_TEXT.fullmatch(value)
        value = int(found[1]) if found else 0
    return value if type(value) is int and 0 < value <= MAX_ASN else 0
