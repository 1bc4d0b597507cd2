"""Places: where a client is, and the codes by which a policy names that.

A code is a continent (AF AN AS EU NA OC SA) or an ISO 3166 country. Four countries share their two
letters with a continent; they are written with their three: AFG, ASM, NAM, SAU. EU is the continent
of Europe, Switzerland and the United Kingdom included, not the European Union. Routes know the parts of
countries as well (ISO 3166-2, as US-CA); residency does not, for a database is often wrong about them.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_COUNTRIES: Final = {
    "AF": "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML "
    "MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    "AN": "AQ BV GS HM TF",
    "AS": "AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN "
    "MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
    "EU": "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT "
    "LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    "NA": "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA "
    "PM PR SV SX TC TT US VC VG VI",
    "OC": "AS AU CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS",
    "SA": "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
}
"""Continent → its countries, as GeoNames has them, which MaxMind's databases follow."""

CONTINENTS: Final = frozenset(_COUNTRIES)
CONTINENT_OF: Final = {
    country: continent for continent, countries in _COUNTRIES.items() for country in countries.split()
}
_THREE_LETTERS: Final = {"AFG": "AF", "ASM": "AS", "NAM": "NA", "SAU": "SA"}
_CODE_OF: Final = {country: code for code, country in _THREE_LETTERS.items()}
_SUBDIVISION: Final = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}")
CODES: Final = CONTINENTS | _THREE_LETTERS.keys() | CONTINENT_OF.keys()


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of where a client is: in the world, and in the Internet.

    ``country``: ISO 3166. ``continent``: its code. ``subdivisions``: the parts of the country, ISO 3166-2,
    the largest first. ``asn``: the autonomous system that its address belongs to; 0: not known. Whatever
    else is not known is empty.
    """

    country: str = ""
    continent: str = ""
    subdivisions: tuple[str, ...] = ()
    asn: int = 0

    def of_asn(self, asn: int) -> Place:
        """Return this place in another autonomous system."""
        return self if asn == self.asn else Place(self.country, self.continent, self.subdivisions, asn)


UNKNOWN: Final = Place()


def place_of(country: object, continent: object = None) -> Place | None:
    """Return the place of a database's record; what is no code counts as not known."""
    known = country if isinstance(country, str) and country in CONTINENT_OF else ""
    around = continent if isinstance(continent, str) and continent in CONTINENTS else ""
    if not around and known:
        around = CONTINENT_OF[known]
    return _made(known, around) if around else None


@lru_cache(len(CONTINENT_OF) * 2)
def _made(country: str, continent: str) -> Place:
    return Place(country, continent)


def place_named(code: str) -> Place:
    """Return the place that a code of a policy names; of what is no code nothing is known."""
    if code in CONTINENTS:
        return Place("", code)
    if country := country_of(code):
        return Place(country, CONTINENT_OF[country], (code,))
    country = _country(code)
    return Place(country, CONTINENT_OF[country]) if country in CONTINENT_OF else UNKNOWN


def country_of(code: str) -> str:
    """Return the country that ``code`` names a part of, as US-CA does; empty: it is no such code."""
    found = _SUBDIVISION.fullmatch(code)
    return found[1] if found and found[1] in CONTINENT_OF else ""


def container_of(code: str, others: Container[str]) -> str:
    """Return which of ``others`` has all of ``code`` within; empty: none."""
    country = country_of(code)
    spelled = _CODE_OF.get(country, country)
    wider = (spelled, CONTINENT_OF.get(country or _country(code), "")) if code not in CONTINENTS else ()
    return next((other for other in wider if other and other in others), "")


def may_be_in(place: Place | None, code: str) -> bool:
    """Whether a client of ``place`` may be in ``code``. One whose place is not known may be anywhere.

    Databases differ on continents: one that has Cyprus in Asia says AS, and its country says EU. It may be
    in either.
    """
    place = place or UNKNOWN
    if code in CONTINENTS:
        return place.continent in {"", code} or CONTINENT_OF.get(place.country) == code
    country = _country(code)
    if place.country:
        return place.country == country
    return place.continent in {"", CONTINENT_OF.get(country, place.continent)}


def precision(place: Place, code: str) -> int:
    """How well ``code`` names ``place``: 2 for its country, 1 for its continent, 0 not at all."""
    if code in CONTINENTS:
        return int(place.continent == code)
    return 2 * int(place.country == _country(code))


def codes_of(place: Place | None) -> tuple[str, ...]:
    """Return the codes that name a place."""
    if place is None:
        return ()
    country = _CODE_OF.get(place.country, place.country)
    return tuple(code for code in (country, place.continent, *place.subdivisions) if code)


def _country(code: str) -> str:
    return _THREE_LETTERS.get(code, code)
