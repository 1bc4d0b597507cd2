"""Several geo databases beside each other: what the first does not know, the next may."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from routing.geo import Places
from routing.place import Place

_REMEMBERED: Final = 16_384


class PlacesInOrder:
    """Takes the country, with what is around and within it, of the first that knows it, and so the ASN."""

    def __init__(self, databases: Sequence[Places]) -> None:
        self._finds = [each.find for each in databases]
        self._remembered = lru_cache(_REMEMBERED)(self._find)

    def __repr__(self) -> str:
        remembered = self._remembered.cache_info().currsize
        return f"<PlacesInOrder of {len(self._finds)}, {remembered} addresses remembered>"

    def locate(self, address: str) -> Place | None:
        """Return the place of an address in canonical form; None when nothing is known of it."""
        return self._remembered(address) if address else None

    def forget(self) -> None:
        """Look everything up anew, for one of them has changed."""
        self._remembered.cache_clear()

    def _find(self, address: str) -> Place | None:
        return places_merged(find(address) for find in self._finds)


def places_merged(places: Iterable[Place | None]) -> Place | None:
    """Return what ``places`` say of one client together, an earlier one before a later one."""
    found, asn = None, 0
    for place in places:
        if place is None:
            continue
        asn = asn or place.asn
        if found is None or not (found.country or found.continent):
            found = place
        elif not found.country and place.country and found.continent == place.continent:
            # The first knows the continent alone: a country within it says more, and contradicts nothing.
            found = place
        if asn and found.country:
            break
    return None if found is None else found.of_asn(asn)
