"""How far two regions are from each other: on the globe, and in the time that light needs. Pure."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import Final

from routing.locality import Location

_EARTH_KM: Final = 6371.0
_FIBRE_KM_S: Final = 200_000.0
"""Light in glass. Cables are longer than the great circle: what is measured is above what this gives."""

UNKNOWN_S: Final = 0.3
"""The round trip to a region that has no location: further than any on this globe."""


def great_circle_km(one: Location, other: Location) -> float:
    """Return the kilometres between two places (haversine formula)."""
    latitude, other_latitude = radians(one.latitude), radians(other.latitude)
    across = sin((other_latitude - latitude) / 2) ** 2
    along = sin(radians(other.longitude - one.longitude) / 2) ** 2
    return 2 * _EARTH_KM * asin(min(1.0, sqrt(across + cos(latitude) * cos(other_latitude) * along)))


def least_round_trip_s(one: Location | None, other: Location | None) -> float:
    """Return the seconds that a round trip takes at least; ``UNKNOWN_S`` where a place is not known."""
    if one is None or other is None:
        return UNKNOWN_S
    return 2 * great_circle_km(one, other) / _FIBRE_KM_S
