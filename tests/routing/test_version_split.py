"""Requests divided among versions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, Caller, Provenance, Request, Response
from gateway.core.tensor import Buffer, Tensor
from routing.version_split import VersionSplit
from tests.routing.policies import policy, route

STABLE = {"stable": 95, "canary": 5}


def split(versions: dict[str, int] = STABLE, **changes: Any) -> VersionSplit:
    """Return the split of a route."""
    (made,) = policy(routes=[route(versions=versions, **changes)]).routes
    return VersionSplit(made)


def asks(data: bytes = b"data", **changes: Any) -> Request:
    """Return a request with one input."""
    request = Request("digits", (Tensor("x", "UINT8", (len(data),), data),), caller=Caller(tenant="acme"))
    return replace(request, **changes)


def passed(made: VersionSplit, request: Request) -> Request:
    """Return the request as the rest of the stack gets it."""
    seen: list[Request] = []

    def rest(request: Request) -> Response:
        seen.append(request)
        return Response("digits", request.version, (), Provenance("central"))

    made(request, rest)
    return seen[0]


def test_shares_are_what_they_say() -> None:
    """Within three standard deviations."""
    made, count = split({"a": 50, "b": 45, "c": 5}), 10_000
    shares = Counter(passed(made, asks(str(number).encode())).version for number in range(count))

    for version, percent in {"a": 0.5, "b": 0.45, "c": 0.05}.items():
        assert abs(shares[version] - count * percent) <= 3 * math.sqrt(count * percent * (1 - percent))


@given(st.binary(max_size=16), st.sampled_from([None, frozenset({"eu-west"})]))
def test_nothing_but_the_version_changes(data: bytes, regions: frozenset[str] | None) -> None:
    """Equal requests get the same version, again and again, and no other region or caller."""
    made, request = split({"a": 50, "b": 50}), asks(data, regions=regions)
    first = passed(made, request)

    assert passed(made, replace(request, id="7", attempt=1)).version == first.version
    assert replace(first, version="") == request


def test_a_canary_that_grows_keeps_its_requests() -> None:
    """Who has met it meets it again."""
    requests = [asks(str(number).encode()) for number in range(1000)]
    few, more = split(), split({"stable": 80, "canary": 20})

    met = [each for each in requests if passed(few, each).version == "canary"]

    assert met
    assert {passed(more, each).version for each in met} == {"canary"}


def test_steps_of_a_sequence_meet_one_version() -> None:
    """Their inputs differ, and the state is one version's."""
    made = split({"a": 50, "b": 50})
    steps = [asks(str(number).encode(), parameters={SEQUENCE: 7}) for number in range(50)]

    assert len({passed(made, step).version for step in steps}) == 1


def test_a_request_that_names_its_version_keeps_it() -> None:
    """It may be none of the route's."""
    assert passed(split(), asks(version="7")).version == "7"


@pytest.mark.parametrize(
    ("override", "tenant", "version"),
    [
        (["acme"], "acme", "next"),
        (["*"], "anonymous", "next"),
        (["acme"], "anonymous", "stable"),
        ([], "acme", "stable"),
    ],
)
def test_who_may_choose(override: list[str], tenant: str, version: str) -> None:
    """The header of anybody else is as if it were not there."""
    made = split({"stable": 100, "next": 0}, version_override=override)
    request = asks(caller=Caller(tenant=tenant), routed=(("x-edgeway-version", "next"),))

    assert passed(made, request).version == version


def test_a_choice_that_there_is_not() -> None:
    """The error names the versions."""
    made = split(version_override=["acme"])

    with pytest.raises(GatewayError, match="stable, canary") as raised:
        passed(made, asks(routed=(("x-edgeway-version", "7"),)))

    assert raised.value.fault is Fault.INVALID


@pytest.mark.parametrize(
    ("changes", "sticky_by", "has_path"),
    [
        ({}, "input", False),
        ({}, "tenant", True),
        ({"caller": Caller()}, "tenant", False),
        ({"version": "7"}, "input", True),
        ({"routed": (("x-edgeway-version", "canary"),)}, "input", True),
    ],
)
def test_fast_paths_are_for_requests_whose_data_has_no_say(
    *, changes: dict[str, Any], sticky_by: str, has_path: bool
) -> None:
    """A path answers for all data: it is that of the version which the call would give."""
    made = split(sticky_by=sticky_by, version_override=["acme"])
    request, seen = asks(**changes), list[Request]()

    def path(_data: Sequence[Buffer]) -> Response | None:
        return None

    def find(like: Request) -> Any:
        seen.append(like)
        return path

    assert (made.fast_path(request, find) is path) is has_path
    assert seen == ([passed(made, request)] if has_path else [])
