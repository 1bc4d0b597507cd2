"""The endpoints of one generation, as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.app.endpoint_set import NO_ENDPOINTS
from gateway.core.errors import Fault, GatewayError
from tests.fakes.service import answer, request
from tests.gateway.app.workshop import FakeConnector, FakeUpstream, Workshop
from tests.gateway.policies import GOOD

RENAMED = GOOD.replace("generation: 1", "generation: 2").replace("  central:", "  other:")
RENAMED = RENAMED.replace("[central]", "[other]")
TWO = GOOD.replace(
    "endpoints:\n",
    "endpoints:\n  spare: {tier: central, region: there, protocol: grpc, address: '127.0.0.1:8'}\n",
    1,
).replace("[central]", "[central, spare]")


def test_an_empty_set_has_no_endpoint() -> None:
    """No endpoint is available or preferred, and each name would be the last."""
    assert not NO_ENDPOINTS.is_available("central")
    assert not NO_ENDPOINTS.is_preferred("central", "digits")
    assert NO_ENDPOINTS.why("central") == ""
    assert NO_ENDPOINTS.is_last("central")
    assert NO_ENDPOINTS.catalog("central") is None
    assert NO_ENDPOINTS.report() == {}
    assert NO_ENDPOINTS.lacking("digits", "") == frozenset()
    assert not NO_ENDPOINTS.holds("central", "digits", "")
    assert not NO_ENDPOINTS.is_full("central")
    assert repr(NO_ENDPOINTS) == "<EndpointSet empty>"


async def test_a_set_outlives_a_reload() -> None:
    """Requests under way still go to endpoints that a newer policy does not name."""
    workshop = Workshop()
    first = workshop.enforce(GOOD).endpoints

    second = workshop.enforce(RENAMED).endpoints

    assert first.is_available("central")
    assert first.is_preferred("central", "digits")
    assert not first.is_available("other")
    assert (first.catalog("other"), second.catalog("central")) == (None, None)
    assert first.catalog("central") is first.by_name["central"].members[0].parts.upstream
    assert repr(first).startswith("<EndpointSet central <EndpointHealth <Ejection central closed")
    await workshop.aclose()


async def test_an_endpoint_that_is_out_has_a_reason() -> None:
    """It is in the report and in words for clients."""
    failure = GatewayError(Fault.UNAVAILABLE, "connection refused", retryable=True, counts=True)
    workshop = Workshop(connector=FakeConnector(FakeUpstream(failure)))
    endpoints = workshop.enforce(GOOD).endpoints

    for _ in range(5):
        with pytest.raises(GatewayError):
            await endpoints.by_name["central"](request())

    assert not endpoints.is_available("central")
    assert not endpoints.is_preferred("central", "digits")
    assert endpoints.why("central")
    assert endpoints.report()["central"]["state"] == "open"
    await workshop.aclose()


async def test_which_endpoint_is_the_last_that_can_take_a_request() -> None:
    """Of two endpoints of a route neither is; while one is out, the other is."""
    failure = GatewayError(Fault.UNAVAILABLE, "connection refused", retryable=True, counts=True)
    workshop = Workshop(connector=FakeConnector(FakeUpstream(failure)))
    endpoints = workshop.enforce(TWO).endpoints
    assert not endpoints.is_last("central")
    assert not endpoints.is_last("spare")

    for _ in range(5):
        with pytest.raises(GatewayError):
            await endpoints.by_name["spare"](request())

    assert endpoints.is_last("central")
    await workshop.aclose()


async def test_what_is_being_asked_is_not_known_yet() -> None:
    """None while the first question is under way, and then what came of it; unknown endpoints say nothing."""
    workshop = Workshop()
    endpoints = workshop.enforce(GOOD).endpoints

    assert endpoints.signatures(["nobody"], "digits", "") == []
    assert endpoints.signatures(["central"], "digits", "") is None
    await asyncio.sleep(0.1)
    assert endpoints.signatures(["central"], "digits", "") is not None
    await workshop.aclose()


async def test_what_endpoints_say_of_keeping_answers() -> None:
    """One that forbids is enough; none is asked for what the edge answers, and nobody waits."""
    workshop = Workshop()
    endpoints = workshop.enforce(TWO).endpoints
    names, asked = ("central", "spare", "gone"), list[str]()
    for pool in endpoints.by_name.values():
        upstream = pool.members[0].parts.upstream
        upstream.config = _says(b'{"response_cache": {"enable": false}}', asked)  # type: ignore[method-assign]

    assert endpoints.let_keep(names, request(), answer("edge"))
    await asyncio.sleep(0)
    assert asked == []

    assert endpoints.let_keep(names, request(), answer("central"))
    assert not endpoints.forbid_keeping(names, "digits")
    while len(asked) < 2:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert endpoints.forbid_keeping(names, "digits")
    assert not endpoints.forbid_keeping(("gone",), "digits")
    assert not endpoints.let_keep(names, request(), answer("central"))
    assert not endpoints.let_keep(names, request(), answer("edge"))
    await workshop.aclose()


async def test_classes_are_kept_once_it_is_known_who_makes_them() -> None:
    """What others have kept they knew; without classes nothing has to be known."""
    workshop = Workshop()
    endpoints = workshop.enforce(GOOD).endpoints
    upstream = endpoints.by_name["central"].members[0].parts.upstream
    upstream.config = _says(b"{}", [])  # type: ignore[method-assign]
    wanted = request(outputs=("probabilities",), classes={"probabilities": 1})

    assert not endpoints.let_keep(("central",), wanted, answer("central"))
    assert endpoints.let_keep(("central",), wanted, answer("central", level="l2"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert endpoints.let_keep(("central",), wanted, answer("central"))
    await workshop.aclose()


def _says(config: bytes, asked: list[str]) -> Callable[[str, str], Awaitable[bytes]]:
    async def say(model: str, _version: str) -> bytes:
        asked.append(model)
        return config

    return say


async def test_lists_of_models_are_known_at_once() -> None:
    """Of endpoints that have one; the others may hold all."""
    workshop = Workshop()
    endpoints = workshop.enforce(
        TWO.replace("address: '127.0.0.1:8'", "address: '127.0.0.1:8', models: ['d*:2']")
    ).endpoints

    assert endpoints.lacking("digits", "") == frozenset()
    assert endpoints.lacking("digits", "1") == endpoints.lacking("other", "") == {"spare"}
    assert endpoints.holds("spare", "digits", "2")
    assert not endpoints.holds("spare", "digits", "1")
    assert not endpoints.holds("central", "digits", "")
    await workshop.aclose()
