"""Breaker: what passes, and what is reported of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Fault, GatewayError
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.virtual_time import virtual_time
from tests.resilience.peers import REFUSED, Guarded, Peer, silent


@virtual_time
async def test_an_answer_passes_through() -> None:
    """Closed, the request goes down as it came."""
    guarded, service, sent = Guarded(Peer(last=True)), ScriptedService(answer("edge")), request()

    assert await guarded.breaker(sent, service) == answer("edge")

    assert service.requests[0] is sent
    assert repr(guarded.breaker) == "<Breaker <EndpointHealth <Ejection central closed, 0 of 5 failures>>>"


@virtual_time
async def test_out_it_asks_nobody_and_the_refusal_counts_against_nobody() -> None:
    """The next attempt may go elsewhere."""
    guarded = Guarded(Peer(silent(), REFUSED, last=True))
    await guarded.asks(5)
    service = ScriptedService()

    with pytest.raises(GatewayError) as caught:
        await guarded.breaker(request(), service)

    assert service.requests == []
    assert (caught.value.fault, caught.value.retryable, caught.value.counts) == (
        Fault.UNAVAILABLE,
        True,
        False,
    )
    await guarded.health.aclose()


@virtual_time
async def test_callers_who_leave_do_not_count() -> None:
    """Any number of cancelled requests leaves the circuit as it was."""
    guarded, service = Guarded(Peer(last=True)), ScriptedService(HANG)
    callers = [asyncio.create_task(guarded.breaker(request(), service)) for _ in range(20)]
    await asyncio.sleep(1)

    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)

    assert service.running == 0
    assert "closed, 0 of 5" in repr(guarded.health)


@virtual_time
async def test_a_bug_of_ours_is_not_hidden_and_blames_nobody() -> None:
    """No endpoint has raised it."""
    guarded = Guarded(Peer(last=True))

    for _ in range(10):
        with pytest.raises(KeyError):
            await guarded.breaker(request(), ScriptedService(KeyError("bug")))

    assert "closed, 0 of 5" in repr(guarded.health)


@virtual_time
async def test_calls_from_before_the_opening_change_nothing() -> None:
    """A late success, and a late failure, speak of another time."""
    guarded = Guarded(Peer(silent(), REFUSED, last=False))
    late = [asyncio.create_task(guarded.breaker(request(), ScriptedService(5.0))) for _ in range(2)]

    async def fail(_request: object) -> object:
        await asyncio.sleep(5)
        raise silent()

    late.append(asyncio.create_task(guarded.breaker(request(), fail)))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await guarded.asks(5)

    await asyncio.gather(*late, return_exceptions=True)

    assert guarded.health.state == "open"
    await guarded.health.aclose()
