"""The conditions of routes, tried on requests."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.request import Caller, Request
from routing.conditions import Conditions, Facts, address_of, headers_of
from routing.place import Place
from tests.routing.policies import policy, route

GERMANY = Place("DE", "EU")


def missing(match: dict[str, Any], request: Request, place: Place | None = GERMANY) -> str:
    """Return what a route with ``match`` misses in a request."""
    (made,) = policy(routes=[route() | {"match": match}]).routes
    return Conditions(made).missing(Facts(request, lambda _: place))


REQUEST = Request(
    "digits", (), version="2", caller=Caller("10.1.2.3", "acme"), routed=(("x-team", "blue"), ("x-u", "7"))
)


@pytest.mark.parametrize(
    ("match", "lacks"),
    [
        ({}, ""),
        ({"model": "d*s"}, ""),
        ({"model": "d?s"}, "model"),
        ({"tenants": ["other"]}, "tenants"),
        ({"version": "2"}, ""),
        ({"version": "1"}, "version"),
        ({"headers": {"X-Team": "blue", "x-u": {"regex": "[0-9]"}}}, ""),
        ({"headers": {"X-Team": "blue", "x-u": {"regex": "[a-z]"}}}, "header x-u"),
        ({"headers": {"x-absent": {"regex": ".*"}}}, "header x-absent"),
        ({"headers": {"x-team": {"prefix": "bl"}}}, ""),
        ({"places": ["FR", "DE"]}, ""),
        ({"places": ["EU"]}, ""),
        ({"places": ["FR"]}, "places"),
        ({"places": ["DE-BE"]}, "places"),
        ({"asns": [64500]}, "asns"),
        ({"networks": ["192.168.0.0/16", "10.1.0.0/16"]}, ""),
        ({"networks": ["10.2.0.0/16", "::/0"]}, "networks"),
        ({"percent": 0}, "percent"),
        ({"percent": 100}, ""),
    ],
)
def test_all_that_is_given_must_hold(match: dict[str, Any], lacks: str) -> None:
    """The first condition that does not is named."""
    assert missing(match, REQUEST) == lacks


def test_a_client_whose_place_is_not_known_is_nowhere() -> None:
    """A route for a place is for those who are known to be there."""
    assert missing({"places": ["EU"]}, REQUEST, None) == "places"
    assert missing({"places": ["DE"]}, REQUEST, Place("", "EU")) == "places"


@pytest.mark.parametrize(
    ("match", "lacks"),
    [
        ({"asns": [64500]}, ""),
        ({"asns": [1, 64500], "places": ["DE-BE"]}, ""),
        ({"asns": [64501]}, "asns"),
        ({"places": ["DE-BY", "DE-BE"]}, ""),
        ({"places": ["DE-BY"]}, "places"),
    ],
)
def test_parts_of_countries_and_autonomous_systems(match: dict[str, Any], lacks: str) -> None:
    """Of a client of whom a database or the table of networks knows them."""
    assert missing(match, REQUEST, Place("DE", "EU", ("DE-BE",), 64500)) == lacks


def test_what_is_not_known_of_a_client_matches_no_asn() -> None:
    """Neither where its place is known nor where nothing is."""
    assert missing({"asns": [64500]}, REQUEST, None) == "asns"
    assert missing({"asns": [64500]}, REQUEST, Place("DE", "EU", ("DE-BE",))) == "asns"


@pytest.mark.parametrize("address", ["", "unknown", "10.1.2", "fe80::1"])
def test_an_address_that_is_none_is_in_no_network(address: str) -> None:
    """Whatever stands there."""
    request = Request("digits", (), caller=Caller(address))

    assert missing({"networks": ["10.1.0.0/16"]}, request) == "networks"


def test_an_address_of_ipv4_in_ipv6_is_one_of_ipv4() -> None:
    """As dual-stack sockets write them."""
    assert address_of("::ffff:10.1.2.3") == address_of("10.1.2.3")


def test_which_headers_choose() -> None:
    """Those of all routes, in small letters, and those by which a percentage goes."""
    made = policy(
        routes=[
            route("a") | {"match": {"headers": {"X-Team": "a"}}},
            route("b") | {"match": {"percent": 5}, "sticky_by": "header:X-User"},
        ]
    )

    assert headers_of(made) == {"x-team", "x-user"}
