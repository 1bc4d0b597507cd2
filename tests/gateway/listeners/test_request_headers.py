"""Heads, read in one pass."""

from __future__ import annotations

import pytest

from gateway.core.errors import GatewayError
from gateway.http.exchange import Head
from gateway.listeners.request_headers import RequestHeaderReader, RequestHeaders
from gateway.wire.trust import Trust


class FamilyHeaders(RequestHeaders, frozen=True):
    """Those of a protocol family that reads three more."""

    first: str | None
    second: str | None
    third: str | None = "absent"


TRUST = Trust(gateways=["10.0.0.0/8"])
READER = RequestHeaderReader(TRUST, FamilyHeaders, ("x-first", "x-second"))


def read(*headers: tuple[str, str], peer: str = "10.0.0.1"):
    return READER.read(Head("POST", "/", headers, peer))


def test_strangers_claims_do_not_count():
    """Tenant, hops and forwarded addresses of a peer that nobody trusts are passed over."""
    claims = (("x-edgeway-tenant", "clinic"), ("x-forwarded-for", "192.0.2.1"))
    hops = (("x-edgeway-hops", "2"), ("x-edgeway-regions", "a,b"))

    stranger, gateway = read(*claims, peer="203.0.113.1"), read(*claims, *hops)

    assert (stranger.caller.tenant, stranger.caller.address, stranger.hops) == ("anonymous", "203.0.113.1", 0)
    assert (gateway.caller.tenant, gateway.caller.address, gateway.hops) == ("clinic", "192.0.2.1", 2)
    assert gateway.caller.vouched
    assert gateway.regions == {"a", "b"}


def test_a_head_is_read_once():
    """Connections give out the same head when a client says the same again."""
    head = Head("POST", "/", (("x-edgeway-tenant", "clinic"),), "10.0.0.1")

    assert READER.read(head) is READER.read(head)


def test_lines_of_forwarded_addresses_are_one_list():
    """The rightmost address that no proxy owns counts, over all lines."""
    headers = read(("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2, 10.1.1.1"))

    assert headers.caller.address == "192.0.2.2"


@pytest.mark.parametrize(
    "name",
    ["x-edgeway-tenant", "authorization", "x-edgeway-hops", "x-edgeway-regions", "x-request-timeout-ms"],
)
def test_claims_made_twice_are_refused(name):
    """Which of two claims counts is not for the client to choose."""
    with pytest.raises(GatewayError, match="more than once"):
        read((name, "a"), (name, "a"))


def test_headers_of_a_family_fill_its_fields():
    """In their order; the first value counts, and a field without a header keeps its default."""
    headers = read(("x-second", "1"), ("x-second", "2"), ("x-third", "3"), ("accept-encoding", "gzip"))

    assert (headers.first, headers.second, headers.third) == (None, "1", "absent")
    assert (headers.accept_encoding, headers.content_encoding) == ("gzip", None)


def test_a_family_needs_no_headers_of_its_own():
    """Those of every family are read without any."""
    headers = RequestHeaderReader(TRUST, RequestHeaders).read(
        Head("POST", "/", (("traceparent", "00-ab"), ("tracestate", "a=1"), ("x-request-timeout-ms", "5")))
    )

    assert headers.trace == (("traceparent", "00-ab"), ("tracestate", "a=1"))
    assert headers.timeout_ms == "5"


def test_long_and_secret_claims_are_read_every_time():
    """Neither a credential nor a flood of long headers is remembered."""
    assert read(("authorization", "Bearer t")).caller.credential == "Bearer t"
    assert read(("x-forwarded-for", "192.0.2.1," + " " * 300 + "10.0.0.2")).caller.address == "192.0.2.1"
    assert "<RequestHeaderReader" in repr(READER)


@pytest.mark.parametrize("hops", ["x", "1000", "-1", "²"])
def test_bad_hops_are_refused(hops):
    """Hops that no gateway writes: counted as none, a request could go round for ever."""
    with pytest.raises(GatewayError, match="x-edgeway-hops"):
        read(("x-edgeway-hops", hops))
