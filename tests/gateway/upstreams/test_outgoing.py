"""What all requests to an endpoint carry."""

from __future__ import annotations

import pytest

from gateway.upstreams.outgoing import (
    PLAIN,
    Outgoing,
    problem_of_credential_header,
    problem_of_host,
    problem_of_server_name,
    problems_of_headers,
)


def test_the_clients_own_do_not_come_twice():
    """What the policy adds replaces what a client sent."""
    outgoing = Outgoing(headers=(("X-Model-Group", "a"),))
    assert outgoing.pairs == (("x-model-group", "a"),)
    assert outgoing.without_own((("x-model-group", "b"), ("x-other", "c"))) == (("x-other", "c"),)
    assert PLAIN.without_own((("x-other", "c"),)) == (("x-other", "c"),)
    assert PLAIN.hidden("abc") == "abc"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("Authorization", "Bearer x", "credential"),
        ("cookie", "x", "credential"),
        ("host", "x", "itself"),
        ("content-length", "1", "itself"),
        ("traceparent", "1", "itself"),
        ("x-edgeway-tenant", "clinic", "itself"),
        ("endpoint-load-metrics-format", "json", "itself"),
        ("a b", "x", "no name"),
        ("", "x", "no name"),
        ("x-a", "b\r\nx-c: d", "printable"),
        ("x-a", "ä", "printable"),
        ("x-a", " b", "printable"),
    ],
)
def test_headers_that_a_policy_may_not_add(name, value, says):
    """Secrets, what the gateway writes itself, and what no header can hold."""
    (problem,) = problems_of_headers({name: value})
    assert says in problem


def test_headers_that_a_policy_may_add():
    """Any others."""
    assert not [*problems_of_headers({"X-Model-Group": "a, b", "seldon-model": "iris", "x-empty": ""})]


def test_names_of_hosts():
    """With and without a port."""
    for good in ("", "a.example", "a:80", "[::1]:80", "10.0.0.1", "iris.default.svc", "a_b"):
        assert not problem_of_host(good)
    for bad in ("a b", "a/b", "a:b", "a@b", "a\r\n", "::1"):
        assert problem_of_host(bad)
    for good in ("", "a.example", "10.0.0.1", "::1"):
        assert not problem_of_server_name(good)
    for bad in ("a:80", ".a", "a..b", "a b", "x" * 64 + ".example", "ä b"):
        assert problem_of_server_name(bad)
    for good in ("authorization", "X-Api-Key", "proxy-authorization"):
        assert not problem_of_credential_header(good)
    for bad in ("host", "a b", "x-edgeway-tenant"):
        assert problem_of_credential_header(bad)
