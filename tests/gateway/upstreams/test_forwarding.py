"""What travels beside the tensors is the same on both wires."""

from __future__ import annotations

import math

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Provenance
from gateway.upstreams.failures import LENIENCY_S
from gateway.upstreams.forwarding import provenance_of, request_headers, retry_after_s, timeout_s
from tests.fakes.service import request
from tests.fakes.virtual_time import virtual_time

TRACE = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


def test_the_next_gateway_learns_whom_and_where() -> None:
    """Never the credential: this gateway vouches for the tenant by being trusted."""
    sent = request(
        caller=Caller("192.0.2.1", "acme", "Bearer secret"),
        regions=frozenset({"us-east", "eu-west"}),
        hops=1,
        trace=TRACE,
    )

    assert request_headers(sent) == {
        "x-edgeway-hops": "2",
        **dict(TRACE),
        "x-edgeway-tenant": "acme",
        "x-forwarded-for": "192.0.2.1",
        "x-edgeway-regions": "eu-west,us-east",
    }


def test_an_unknown_client_is_named_as_such() -> None:
    """Else the next gateway would take this one for the client."""
    assert request_headers(request()) == {"x-edgeway-hops": "1", "x-forwarded-for": "unknown"}


@pytest.mark.parametrize("tenant", ["a\r\nX-Evil: 1", "münchen"])
def test_a_value_that_cannot_stand_in_a_header_is_refused(tenant: str) -> None:
    """Before anything is sent."""
    with pytest.raises(GatewayError, match="x-edgeway-tenant must be printable ASCII") as caught:
        request_headers(request(caller=Caller(tenant=tenant)))

    assert caught.value.fault is Fault.INVALID


@virtual_time
async def test_the_other_side_gets_a_little_more_time() -> None:
    """So that this side, which knows whose deadline it was, notices its passing first."""
    clock = LoopClock()

    assert timeout_s(request(), clock) == math.inf
    assert timeout_s(request(deadline=clock.now() + 2), clock) == pytest.approx(2 + LENIENCY_S)
    for passed in (0.0, -1.0):
        with pytest.raises(GatewayError, match="before the request could be sent") as caught:
            timeout_s(request(deadline=clock.now() + passed), clock)
        assert (caught.value.fault, caught.value.counts) == (Fault.DEADLINE, False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("2", 2.0), ("0", 0.0), ("999999", 999999.0), ("1000000", None), ("-1", None), ("٣", None), ("", None)],
)
def test_retry_after_is_whole_seconds(value: str, seconds: float | None) -> None:
    """Anything else is taken for not there."""
    assert retry_after_s({"retry-after": value}) == seconds
    assert retry_after_s({}) is None


def test_an_answer_without_provenance_is_centrals() -> None:
    """Triton and KServe do not say where an answer comes from; the endpoint's region is known."""
    assert provenance_of({}, "eu-west") == Provenance("central", region="eu-west")


def test_what_a_gateway_says_of_its_answer_holds() -> None:
    """Cut and cleaned, for it goes into logs."""
    found = provenance_of(
        {
            "x-edgeway-provenance": "edge",
            "x-edgeway-certified": "false",
            "x-edgeway-model-digest": "d" * 500,
            "x-edgeway-served-by": "us-east",
        },
        "eu-west",
    )

    assert (found.origin, found.certified, found.region) == ("edge", False, "us-east")
    assert found.digest == "d" * 125 + "..."


@pytest.mark.parametrize(("value", "features"), [("default", "default"), ("stale", "stale"), ("x" * 999, "")])
def test_what_vectors_lacked_at_another_gateway_is_passed_on(value: str, features: str) -> None:
    """In words that are known; anything else is not for our clients."""
    found = provenance_of({"x-edgeway-provenance": "edge", "x-edgeway-features": value}, "eu-west")

    assert found.features == features
