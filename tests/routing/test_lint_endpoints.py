"""The lint rules about endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from routing.lint import problems
from routing.lint_endpoints import older_forms
from routing.problem import Path, Severity
from tests.routing.policies import endpoint, policy, route

SECURE = {"tls": {}}
FILE = {"file": "/run/token"}


def listed(*addresses: Any, **changes: Any) -> dict[str, Any]:
    """An endpoint in the newer form."""
    values = endpoint("us-east", addresses=list(addresses or ["10.0.0.1:8001"]), **changes)
    del values["address"]
    return values


def found(central: dict[str, Any], **route_changes: Any) -> list[tuple[str, Path]]:
    """What is wrong with the one endpoint, or with the one route because of it."""
    made = policy(endpoints={"central": central}, routes=[route(cascade={}, **route_changes)])
    wanted = ("EW13", "EW23", "EW107", "EW108")
    base = ("endpoints", "central")
    return [
        (problem.rule, problem.path[2:] if problem.path[:2] == base else problem.path)
        for problem in problems(made)
        if problem.rule.startswith(wanted)
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tls": {"ca": "ca.pem", "certificate": "a.pem", "key": "a.key", "server_name": "central.example"}},
        {"tls": {"alpn": ["h2"]}},
        {"protocol": "http", "tls": {"alpn": ["h2", "http/1.1"]}},
        {"host": "central.example"},
        {"host": "[::1]:8443"},
        {"credential": FILE, **SECURE},
        {"credential": {"env": "TOKEN", "header": "x-api-key", "scheme": ""}, **SECURE},
        {"headers": {"x-team": "a b, c", "x-empty": ""}},
        {"health_check": {"interval_s": 5, "timeout_s": 5}},
        {"outlier_detection": {"base_ejection_time_s": 30, "max_ejection_time_s": 30}},
        {"load_balancing": {"policy": "maglev", "hash_on": "tenant", "hash_balance_factor": 0}},
        {"load_balancing": {"choice_count": 3}},
    ],
)
def test_sound(changes):
    assert found({**listed(), **changes}) == []


@pytest.mark.parametrize(
    ("changes", "rule", "path"),
    [
        ({"address": "10.0.0.1:8001"}, "EW130", ()),
        ({"tls": {"certificate": "a.pem"}}, "EW131", ("tls",)),
        ({"tls": {"key": "a.key"}}, "EW131", ("tls",)),
        ({"tls": {"server_name": "central.example:443"}}, "EW132", ("tls", "server_name")),
        ({"tls": {"server_name": "*.example"}}, "EW132", ("tls", "server_name")),
        ({"tls": {"server_name": "a\nb"}}, "EW132", ("tls", "server_name")),
        ({"host": "https://central.example"}, "EW132", ("host",)),
        ({"host": "central.example/v2"}, "EW132", ("host",)),
        ({"host": "a b"}, "EW132", ("host",)),
        ({"tls": {"alpn": ["http/1.1"]}}, "EW133", ("tls", "alpn")),
        ({"protocol": "http", "tls": {"alpn": ["h2"]}}, "EW133", ("tls", "alpn")),
        ({"credential": {}, **SECURE}, "EW134", ("credential",)),
        ({"credential": {"file": "a", "env": "B"}, **SECURE}, "EW134", ("credential",)),
        ({"credential": {**FILE, "header": "a b"}, **SECURE}, "EW135", ("credential", "header")),
        ({"credential": {**FILE, "header": "Host"}, **SECURE}, "EW135", ("credential", "header")),
        (
            {"credential": {**FILE, "header": "X-Team"}, "headers": {"x-team": "a"}, **SECURE},
            "EW135",
            ("credential", "header"),
        ),
        ({"headers": {"": "a"}}, "EW135", ("headers", "")),
        ({"headers": {":path": "a"}}, "EW135", ("headers", ":path")),
        ({"headers": {"Content-Length": "3"}}, "EW135", ("headers", "Content-Length")),
        ({"headers": {"x-edgeway-hops": "0"}}, "EW135", ("headers", "x-edgeway-hops")),
        ({"headers": {"x-team": "a\r\nhost: b"}}, "EW135", ("headers", "x-team")),
        ({"headers": {"x-team": " a"}}, "EW135", ("headers", "x-team")),
        ({"headers": {"x-team": "a", "X-Team": "b"}}, "EW135", ("headers", "X-Team")),
        ({"headers": {"Authorization": "Bearer s3cret"}}, "EW136", ("headers", "Authorization")),
        ({"headers": {"cookie": "s3cret"}}, "EW136", ("headers", "cookie")),
        (
            {"outlier_detection": {"base_ejection_time_s": 30, "max_ejection_time_s": 10}},
            "EW137",
            ("outlier_detection", "max_ejection_time_s"),
        ),
        (
            {"load_balancing": {"policy": "maglev", "hash_balance_factor": 99}},
            "EW138",
            ("load_balancing", "hash_balance_factor"),
        ),
        ({"credential": FILE}, "EW230", ("credential",)),
        ({"health_check": {"interval_s": 1, "timeout_s": 2}}, "EW231", ("health_check", "timeout_s")),
        ({"load_balancing": {"hash_on": "tenant"}}, "EW232", ("load_balancing", "hash_on")),
        (
            {"load_balancing": {"policy": "random", "hash_balance_factor": 0}},
            "EW232",
            ("load_balancing", "hash_balance_factor"),
        ),
        (
            {"load_balancing": {"policy": "maglev", "choice_count": 3}},
            "EW232",
            ("load_balancing", "choice_count"),
        ),
    ],
)
def test_each_rule(changes, rule, path):
    assert found({**listed(), **changes}) == [(rule, path)]


@pytest.mark.parametrize(
    ("addresses", "rule", "place"),
    [
        (["10.0.0.1:8001", "10.0.0.2"], "EW107", 1),
        (["10.0.0.1:8001", "http://10.0.0.2:80"], "EW107", 1),
        ([{"address": "10.0.0.1:0"}], "EW107", 0),
        (["10.0.0.1:\u0663"], "EW107", 0),
        (["central:8001", {"address": "Central:8001", "weight": 2}], "EW108", 1),
    ],
)
def test_members(addresses, rule, place):
    assert found(listed(*addresses)) == [(rule, ("addresses", place))]


def test_an_endpoint_needs_a_member():
    none = endpoint("us-east")
    del none["address"]
    assert found(none) == [("EW130", ())]
    assert found({**none, "addresses": []}) == [("EW130", ())]


@pytest.mark.parametrize("address", ["127.0.0.1:8001", "[::1]:8001", "localhost:8001"])
def test_a_credential_that_stays_on_the_machine_may_go_in_the_clear(address):
    assert found(listed(address, credential=FILE)) == []
    assert found(listed(address, "10.0.0.1:8001", credential=FILE)) == [("EW230", ("credential",))]


def test_a_route_whose_endpoints_are_all_drained():
    drained, kept = listed(drain=True), listed("10.0.0.2:8001")
    assert found(drained) == [("EW233", ("routes", 0, "endpoints"))]
    made = policy(endpoints={"a": drained, "b": kept}, routes=[route(endpoints=["a", "b"])])
    assert "EW233" not in [problem.rule for problem in problems(made)]


def test_no_message_repeats_a_secret():
    made = policy(endpoints={"central": listed(headers={"authorization": "Bearer s3cret\n"})})
    texts = [problem.message for problem in problems(made) if problem.rule.startswith("EW13")]
    assert len(texts) == 2
    assert not any("s3cret" in text for text in texts)


def test_the_older_form_is_noted_and_nothing_else():
    made = policy(endpoints={"old": endpoint("us-east", address="[::1]:1"), "new": listed()})
    (note,) = older_forms(made)
    assert (note.rule, note.path, note.severity) == ("EW301", ("endpoints", "old", "address"), Severity.NOTE)
    assert '`addresses: ["[::1]:1"]`' in note.message
