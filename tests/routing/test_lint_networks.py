"""What is wrong with networks, autonomous systems and parts of countries."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from routing.problem import Path
from tests.routing.policies import policy, route


def found(**changes: Any) -> list[tuple[str, Path, str]]:
    """Return the problems of a policy with these changes."""
    return [(each.rule, each.path, each.message) for each in problems(policy(**changes))]


def asns(*numbers: int, **changes: Any) -> list[tuple[str, Path, str]]:
    """Return the problems of one route that matches these."""
    return found(routes=[route() | {"match": {"asns": list(numbers)}}], **changes)


NET = "192.0.2.0/24"


@pytest.mark.parametrize(
    ("networks", "rule", "path", "message"),
    [
        ({"10.0.0.1/8": "DE"}, "EW155", ("10.0.0.1/8",), "did you mean '10.0.0.0/8'?"),
        ({"ten": "DE"}, "EW155", ("ten",), "such as 10.0.0.0/8"),
        ({"": "DE"}, "EW155", ("",), "is no network"),
        ({"::ffff:10.0.0.0/104": "DE"}, "EW155", ("::ffff:10.0.0.0/104",), "write the network of IPv4"),
        ({"::/0": "DE", "0::/0": "FR"}, "EW108", ("0::/0",), "is the same network as '::/0'"),
        ({NET: {}}, "EW156", (NET,), "give its place, its asn, or both"),
        ({NET: "XX"}, "EW106", (NET,), "'XX' is neither a continent"),
        ({NET: "false"}, "EW106", (NET,), 'nor an ISO country (Norway is `"NO"`'),
        ({NET: "XX-CA"}, "EW106", (NET,), "nor a part of one, as US-CA"),
        ({NET: {"place": "us-ca"}}, "EW106", (NET,), "nor a part of one, as US-CA"),
        ({NET: {"asn": 65_535}}, "EW158", (NET, "asn"), "65535 is reserved"),
        ({NET: {"asn": 23_456}}, "EW158", (NET, "asn"), "23456 is reserved"),
    ],
)
def test_rule_finds_its_problem(networks: Any, rule: str, path: Path, message: str) -> None:
    """Each leads to the entry at fault, and says what to write."""
    hits = [each for each in found(networks=networks) if each[:2] == (rule, ("networks", *path))]

    assert [message in text for *_, text in hits] == [True]


def test_a_good_table_is_good() -> None:
    """Places of each kind, private numbers, networks within others."""
    table = {"10.0.0.0/8": "DE", "10.1.0.0/16": "US-CA", "::/0": "EU", NET: {"place": "NAM", "asn": 64512}}

    assert not [each for each in found(networks=table) if each[1][0] == "networks"]


ASNS: Path = ("routes", 0, "match", "asns")


@pytest.mark.parametrize(
    ("numbers", "changes", "problem"),
    [
        ([13335], {}, None),
        ([13335, 13335], {}, ("EW108", 1)),
        ([23_456], {}, ("EW158", 0)),
        ([2**32 - 1], {}, ("EW158", 0)),
        ([13335, 64_512], {}, ("EW255", 1)),
        ([4_200_000_000], {}, ("EW255", 0)),
        ([65_534], {}, ("EW255", 0)),
        ([64_512], {"networks": {NET: {"asn": 64_512}}}, None),
        ([64_511], {}, None),
        ([65_536], {}, None),
    ],
)
def test_numbers_that_nobody_has(numbers: list[int], changes: Any, problem: tuple[str, int] | None) -> None:
    """One that is private is nobody's until the table says whose it is."""
    expected = [] if problem is None else [(problem[0], (*ASNS, problem[1]))]

    assert [each[:2] for each in asns(*numbers, **changes) if each[1][:4] == ASNS] == expected


@pytest.mark.parametrize("code", ["US-CA", "GB-ENG", "DE-BE"])
def test_residency_and_homes_need_countries(code: str) -> None:
    """A part of a country is refused there, and the country named instead."""
    regions = {"eu-west": {"serves": [code]}}
    hits = found(places={code: "eu-only"}) + found(regions=regions)

    wrong = [(path, message) for rule, path, message in hits if rule == "EW157"]
    assert [path for path, _ in wrong] == [("places", code), ("regions", "eu-west", "serves", 0)]
    assert all(f"name the country '{code[:2]}'" in message for _, message in wrong)


def test_routes_take_parts_of_countries() -> None:
    """But one that stands beside what it is within says nothing new."""
    match = {"places": ["US", "US-CA", "DE-BE", "AF", "AO-LUA", "AFG", "AF-KAB", "SE-AB", "EU"]}
    hits = found(routes=[route() | {"match": match}])

    assert [(path[-1], message.split("'")[1]) for rule, path, message in hits if rule == "EW240"] == [
        (1, "US"),
        (2, "EU"),
        (4, "AF"),
        (6, "AFG"),
        (7, "EU"),
    ]
