"""Headers that the settings pass on."""

from __future__ import annotations

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.wire.travelling import TravellingHeaders, problem_of

FOUND = (
    ("x-my-b", "1"),
    ("host", "a"),
    ("x-my-a", "2"),
    ("authorization", "Bearer t"),
    ("cookie", "c=1"),
    ("x-edgeway-tenant", "acme"),
    ("content-type", "application/json"),
    ("x-my-b", "3"),
    ("x-hint", "4"),
    ("x-hints", "5"),
    ("grpc-timeout", "1S"),
    ("traceparent", "00"),
    ("x-request-id", "i"),
    ("x-forwarded-for", "192.0.2.1"),
)


@pytest.mark.parametrize(
    ("forwarded", "kept"),
    [
        ((), []),
        (("x-my-*",), ["1", "2", "3"]),
        (("X-My-*", "X-Hint"), ["1", "2", "3", "4"]),
        (("x-hint",), ["4"]),
        (("x-hint*",), ["4", "5"]),
        (("*",), ["1", "2", "3", "4", "5"]),
        (("a*", "c*", "x-e*", "g*", "h*", "t*", "x-f*", "x-r*"), []),
        (("authorization",), ["Bearer t"]),
        (("cookie", "x-my-a"), ["2", "c=1"]),
    ],
)
def test_named_headers_go_on_in_their_order(forwarded: tuple[str, ...], kept: list[str]) -> None:
    """A name in full, or a beginning; secrets only in full, and what is a gateway's own never."""
    travelling = TravellingHeaders(forwarded=forwarded)

    assert [value for _, value in travelling.forwarded(FOUND)] == kept
    assert travelling.has_forwarded is bool(forwarded)


@pytest.mark.parametrize(
    "pattern",
    ["x-my-*", "*", "x-hint", "X-Hint", "authorization", "cookie", "x-a.b_c~", "my-data-bin"],
)
def test_what_may_be_named(pattern: str) -> None:
    """Names of headers, with a star at the end or none."""
    assert problem_of(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "is no name"),
        ("x-*-y", "is no name"),
        ("x y", "is no name"),
        (":path", "is no name"),
        ("x-é", "is no name"),
        ("x-a\n", "is no name"),
        ("host", "never passed on"),
        ("Content-Length", "never passed on"),
        ("transfer-encoding", "never passed on"),
        ("te", "never passed on"),
        ("grpc-timeout", "never passed on"),
        ("x-edgeway-tenant", "never passed on"),
        ("x-forwarded-for", "never passed on"),
        ("traceparent", "never passed on"),
        ("baggage", "never passed on"),
        ("proxy-authorization", "never passed on"),
        ("inference-header-content-length", "never passed on"),
    ],
)
def test_what_may_not_be_named(pattern: str, problem: str) -> None:
    """It says why."""
    assert problem in problem_of(pattern)


@pytest.mark.parametrize(
    "found",
    [
        [("x-my-a", "v")] * 33,
        [("x-my-a", "v" * 8187)],
        [("x-my-a", "v" * 4000)] * 3,
    ],
)
def test_too_much_is_refused(found: list[tuple[str, str]]) -> None:
    """And not cut: what the model answers may depend on it."""
    with pytest.raises(GatewayError, match="at most 32 headers of 8192 bytes") as caught:
        TravellingHeaders(forwarded=["x-my-*"]).forwarded(found)

    assert caught.value.fault is Fault.INVALID


@pytest.mark.parametrize("value", ["caf\u00e9", "a\tb", "a\x01"])
def test_what_no_header_can_carry_is_refused(value: str) -> None:
    """By its name; unless it would not go on anyway."""
    travelling = TravellingHeaders(forwarded=["x-my-*"])

    with pytest.raises(GatewayError, match="the header x-my-a goes on to the model"):
        travelling.forwarded([("x-my-a", value)])
    assert travelling.forwarded([("x-other", value)]) == ()
    assert travelling.forwarded([("x-my-a", "v" * 8186)]) == (("x-my-a", "v" * 8186),)


def test_repr_shows_the_names() -> None:
    """For whoever reads a trace of ours."""
    assert repr(TravellingHeaders(forwarded=["X-My-*", "b", "a"])) == "<TravellingHeaders a b x-my-*>"
