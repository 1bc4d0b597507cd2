"""Semantic lint of the policy."""

from __future__ import annotations

from typing import Any

import pytest

import routing.lint
from routing.lint import problems
from routing.problem import Path, Severity
from tests.routing.policies import KEY_HASH, endpoint, policy, route


def found(**changes: Any) -> list[tuple[str, Path]]:
    return [(problem.rule, problem.path) for problem in problems(policy(**changes))]


def test_sound_policy_has_no_problems() -> None:
    """The policy that the other tests change is clean."""
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "rule", "path"),
    [
        (
            {"tenants": {"anonymous": {"residency": "anywhere"}, "a b": {"residency": "eu-only"}}},
            "EW101",
            ("tenants", "a b"),
        ),
        (
            {"endpoints": {"central": endpoint("us-west")}, "routes": [route()]},
            "EW102",
            ("endpoints", "central", "region"),
        ),
        (
            {
                "residency": {
                    "anywhere": {"regions": ["*"]},
                    "eu-only": {"regions": ["eu-west", "eu-east"]},
                }
            },
            "EW102",
            ("residency", "eu-only", "regions", 1),
        ),
        (
            {
                "failover": {
                    "eu-west": ["*"],
                    "us-east": ["eu-west"],
                    "ap-south": ["eu-west"],
                }
            },
            "EW102",
            ("failover", "eu-west", 0),
        ),
        ({"tenants": {"anonymous": {"residency": "any"}}}, "EW104", ("tenants", "anonymous", "residency")),
        ({"places": {"DE": "eu"}}, "EW104", ("places", "DE")),
        ({"places": {"UK": "eu-only"}}, "EW106", ("places", "UK")),
        ({"regions": {"eu-west": {"serves": ["Europe"]}}}, "EW106", ("regions", "eu-west", "serves", 0)),
        (
            {
                "tenants": {
                    "anonymous": {"residency": "anywhere", "keys_sha256": [KEY_HASH]},
                    "acme": {"residency": "eu-only", "keys_sha256": [KEY_HASH]},
                }
            },
            "EW110",
            ("tenants", "acme", "keys_sha256", 0),
        ),
        (
            {"tenants": {"anonymous": {"residency": "anywhere", "keys_sha256": [KEY_HASH, KEY_HASH]}}},
            "EW108",
            ("tenants", "anonymous", "keys_sha256", 1),
        ),
        (
            {"residency": {"anywhere": {"regions": ["*"]}, "eu-only": {"regions": ["eu-west", "eu-west"]}}},
            "EW108",
            ("residency", "eu-only", "regions", 1),
        ),
        (
            {
                "failover": {
                    "eu-west": ["us-east", "eu-west"],
                    "us-east": ["eu-west"],
                    "ap-south": ["eu-west"],
                }
            },
            "EW111",
            ("failover", "eu-west", 1),
        ),
        (
            {"failover": {"eu-west": ["us-east"], "us-east": ["eu-west"], "ap-south": []}},
            "EW201",
            ("regions", "ap-south"),
        ),
        ({"places": {"DE": "eu-only", "JP": "anywhere"}}, "EW204", ("places", "JP")),
        (
            {
                "residency": {
                    "anywhere": {"regions": ["*", "us-east"]},
                    "eu-only": {"regions": ["eu-west"]},
                }
            },
            "EW206",
            ("residency", "anywhere", "regions"),
        ),
        (
            {
                "regions": {
                    "eu-west": {"serves": ["EU"]},
                    "us-east": {"serves": ["NA", "EU"]},
                    "ap-south": {},
                }
            },
            "EW207",
            ("regions", "us-east", "serves", 1),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_rule_finds_its_problem(changes: dict[str, Any], rule: str, path: Path) -> None:
    """Each rule has a stable id and leads to the value at fault."""
    assert (rule, path) in found(**changes)


@pytest.mark.parametrize(
    "address",
    ["central", "central:", "grpc://central:9001", "central:0", "central:65536", ":9001", "h:1/x", "h:1\n"],
)
def test_address_must_be_host_and_port(address: str) -> None:
    """No scheme, no path, and a port from 1 to 65535."""
    changes = {"endpoints": {"central": endpoint("us-east", address=address)}, "routes": [route(cascade={})]}

    assert ("EW107", ("endpoints", "central", "address")) in found(**changes)


@pytest.mark.parametrize("address", ["central.example.org:9001", "10.0.0.1:80", "[2001:db8::1]:65535"])
def test_good_address_passes(address: str) -> None:
    """Names, IPv4 and bracketed IPv6."""
    changes = {"endpoints": {"central": endpoint("us-east", address=address)}, "routes": [route(cascade={})]}

    assert "EW107" not in [rule for rule, _ in found(**changes)]


def test_place_and_tenant_without_a_common_region_are_reported() -> None:
    """A tenant of the United States whose clients are in Germany is served nowhere, and lint says so."""
    changes = {
        "residency": {
            "anywhere": {"regions": ["*"]},
            "eu-only": {"regions": ["eu-west"]},
            "us-only": {"regions": ["us-east"]},
        },
        "tenants": {"anonymous": {"residency": "anywhere"}, "initech": {"residency": "us-only"}},
    }

    (problem,) = problems(policy(**changes))

    assert (problem.rule, problem.path) == ("EW203", ("places", "DE"))
    assert "tenant 'initech' in DE are refused" in problem.message


def test_tenants_of_one_class_are_reported_together() -> None:
    """A thousand tenants of one class make one warning for each place, not a thousand."""
    changes = {
        "residency": {"us-only": {"regions": ["us-east"]}, "eu-only": {"regions": ["eu-west"]}},
        "tenants": {f"t{number}": {"residency": "us-only"} for number in range(1000)},
    }

    (problem,) = (problem for problem in problems(policy(**changes)) if problem.rule == "EW203")

    assert "tenant 't0' and 999 more in DE are refused" in problem.message


def test_single_region_needs_no_failover() -> None:
    """With one region there is nowhere to go."""
    changes = {
        "regions": {"eu-west": {}},
        "endpoints": {"central": endpoint("eu-west")},
        "failover": {},
        "places": {},
        "routes": [route()],
    }

    assert found(**changes) == []


def test_errors_come_first() -> None:
    """Problems are sorted by rule, so that errors stand before warnings."""
    listed = problems(policy(places={"JP": "anywhere", "UK": "eu-only"}))

    assert [problem.severity for problem in listed] == [Severity.ERROR, Severity.WARNING]


def test_every_rule_is_listed_for_the_reader() -> None:
    """The module's docstring lists the ids in use."""
    listed = routing.lint.__doc__ or ""

    assert all(f"EW{number}" in listed for number in (*range(101, 116), *range(201, 209)))
