"""Distances on the globe."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routing.locality import Location
from routing.rules.distance import UNKNOWN_S, great_circle_km, least_round_trip_s

DUBLIN = Location(latitude=53.35, longitude=-6.26)
VIRGINIA = Location(latitude=38.95, longitude=-77.45)
SYDNEY = Location(latitude=-33.87, longitude=151.21)
PLACES = st.builds(Location, latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))


def test_known_distances():
    assert abs(great_circle_km(DUBLIN, VIRGINIA) - 5450) < 60
    assert abs(great_circle_km(DUBLIN, SYDNEY) - 17215) < 100
    assert 0.05 < least_round_trip_s(DUBLIN, VIRGINIA) < 0.06


def test_over_the_date_line_and_the_pole():
    west, east = Location(latitude=0, longitude=179), Location(latitude=0, longitude=-179)
    assert abs(great_circle_km(west, east) - 222.4) < 1
    north = Location(latitude=90, longitude=0)
    assert great_circle_km(north, Location(latitude=90, longitude=120)) < 1e-6


def test_not_known_is_the_furthest():
    assert least_round_trip_s(None, DUBLIN) == least_round_trip_s(DUBLIN, None) == UNKNOWN_S


@given(PLACES, PLACES)
def test_it_is_the_same_both_ways_and_on_the_globe(one: Location, other: Location):
    assert great_circle_km(one, other) == great_circle_km(other, one) or (
        abs(great_circle_km(one, other) - great_circle_km(other, one)) < 1e-6
    )
    assert 0 <= great_circle_km(one, other) <= 20_016
    assert least_round_trip_s(one, other) < UNKNOWN_S
