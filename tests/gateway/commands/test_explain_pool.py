"""What `edgeway policy explain` shows of an endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.__main__ import main
from gateway.commands.explain_pool import picks, rows_of
from routing.endpoint import Endpoint, LoadBalancing
from tests.gateway.policies import GOOD, write_policy


def endpoint(**changes: Any) -> Endpoint:
    return msgspec.convert({"tier": "central", "region": "eu", "protocol": "grpc", **changes}, Endpoint)


def test_the_older_form_is_one_line():
    assert rows_of(1, "near", endpoint(address="near:1")) == [
        ("endpoint 1", "near: central tier of eu, grpc near:1")
    ]


def test_a_pool_shows_its_members_and_who_is_picked():
    members = [{"address": "10.0.0.1:1", "weight": 3, "zone": "a"}, "[::1]:2", "central.example:3"]
    assert rows_of(2, "central", endpoint(addresses=members)) == [
        ("endpoint 2", "central: central tier of eu, grpc, 3 members"),
        (
            "picks 2",
            picks(LoadBalancing()),
        ),
        ("member 2.1", "10.0.0.1:1, weight 3, zone a"),
        ("member 2.2", "[::1]:2"),
        ("member 2.3", "central.example:3: each address of this name"),
    ]


def test_nobody_is_picked_of_one():
    assert [name for name, _ in rows_of(1, "a", endpoint(addresses=["10.0.0.1:1"]))] == [
        "endpoint 1",
        "member 1.1",
    ]
    assert len(rows_of(1, "a", endpoint(addresses=["central:1"]))) == 3


def test_of_a_large_pool_the_first():
    rows = rows_of(1, "a", endpoint(addresses=[f"10.0.0.{i}:1" for i in range(100)]))
    assert len(rows) == 19
    assert rows[-1] == ("member 1.…", "and 84 more")


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"tls": {}}, "TLS"),
        ({"tls": {"certificate": "a", "key": "b"}}, "mTLS"),
        ({"host": "a.example"}, "as a.example"),
        ({"path_prefix": "/serving"}, "below /serving"),
        ({"credential": {"file": "/run/secret"}}, "credential in authorization"),
        ({"drain": True}, "drained: nothing new is sent there"),
    ],
)
def test_how_it_is_reached(changes, shown):
    ((_, text), *_) = rows_of(1, "a", endpoint(addresses=["10.0.0.1:1"], **changes))
    assert text == f"a: central tier of eu, grpc, 1 member, {shown}"


@pytest.mark.parametrize(
    ("balancing", "words"),
    [
        (
            {"zone_aware": False},
            "least_request of 2 drawn, by latency and requests under way, slow start 30 s",
        ),
        (
            {"policy": "random", "slow_start_window_s": 0},
            "random, the gateway's own zone first",
        ),
        ({"policy": "random", "zone_aware": False, "slow_start_window_s": 0}, "random"),
        ({"policy": "round_robin", "zone_aware": False}, "round_robin, slow start 30 s"),
        (
            {"policy": "ring_hash"},
            "ring_hash of input, at most 150 % of the average under way",
        ),
        (
            {"policy": "maglev", "hash_on": "header:x-user", "hash_balance_factor": 0},
            "maglev of header:x-user, whatever it has under way",
        ),
    ],
)
def test_who_is_picked(balancing, words):
    assert picks(msgspec.convert(balancing, LoadBalancing)) == words


def test_the_command_shows_pools(tmp_path: Path, capsys):
    text = GOOD.replace('address: "127.0.0.1:9"', 'addresses: ["127.0.0.1:9", "127.0.0.1:10"]')
    file = write_policy(tmp_path, text)
    assert main(["policy", "explain", str(file), "--model", "digits", "--region", "here"]) == 0
    out = capsys.readouterr().out
    assert "member 1.2  127.0.0.1:10\n" in out


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"models": ["a", "b:1"]}, "holds a, b:1"),
        ({"models": [f"m{number}" for number in range(20)]}, "m15 and 4 more"),
        ({"capacity_rps": 2000}, "up to 2000 requests/s, then the next"),
    ],
)
def test_what_it_holds_and_carries(changes, words):
    values = {"tier": "central", "region": "here", "protocol": "http", "addresses": ["10.0.0.1:80"]}
    (first, *_) = rows_of(1, "central", msgspec.convert({**values, **changes}, Endpoint))
    assert first[1].endswith(f", {words}")


def test_health_checks_are_told():
    _, text = rows_of(1, "a", endpoint(addresses=["10.0.0.1:1"], health_check={"interval_s": 2.5}))[0]
    assert text.endswith(", 1 member, members checked every 2.5 s")
