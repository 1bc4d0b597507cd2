"""What requests tell of a member's load."""

from __future__ import annotations

import asyncio

import pytest

from gateway.app.pools.load_meter import LoadMeter
from gateway.core.errors import Fault, GatewayError
from routing.pools.ewma import MemberLoad
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG, ScriptedService, request
from tests.fakes.virtual_time import virtual_time
from tests.resilience.peers import error_500, silent, status


def metered() -> tuple[MemberLoad, LoadMeter]:
    load = MemberLoad("a", VirtualClock().tick)
    return load, LoadMeter(load)


@virtual_time
async def test_requests_under_way_are_counted_and_timed() -> None:
    """While it waits it is under way; then its time is known."""
    load, meter = metered()

    asking = asyncio.create_task(meter(request(), ScriptedService(0.5)))
    await asyncio.sleep(0.1)
    assert load.active == 1
    await asking

    assert load.active == 0
    assert load.latency_s == pytest.approx(0.5)
    assert (meter.requests, meter.failures) == (1, 0)
    assert repr(meter) == "<LoadMeter 0 under way, 0 of 1 failed>"


CROWDED = GatewayError(Fault.OVERLOADED, "too many requests wait here", retryable=True)


@virtual_time
@pytest.mark.parametrize(
    ("failure", "penalty_s"),
    [
        (silent(), 5),
        (silent("timeout"), 5),
        (status("503"), 0),
        (CROWDED, 0),
        (error_500(), 0),
    ],
)
async def test_a_fast_failure_is_no_fast_answer(failure: GatewayError, penalty_s: float) -> None:
    """It makes no member look fast; one that is not there gets less for a while."""
    load, meter = metered()
    await meter(request(), ScriptedService(0.5))

    with pytest.raises(GatewayError):
        await meter(request(), ScriptedService(failure))

    assert load.latency_s == pytest.approx(0.5)
    assert (load.active, meter.requests, meter.failures) == (0, 2, 1)
    assert load.is_penalized == bool(penalty_s)
    await asyncio.sleep(max(penalty_s - 0.1, 0))
    assert load.is_penalized == bool(penalty_s)
    await asyncio.sleep(0.2)
    assert not load.is_penalized


@virtual_time
async def test_a_caller_that_leaves_is_under_way_no_longer() -> None:
    """Cancelled while waiting, it leaves the count clean."""
    load, meter = metered()
    asking = asyncio.create_task(meter(request(), ScriptedService(HANG)))
    await asyncio.sleep(0.1)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert load.active == 0
