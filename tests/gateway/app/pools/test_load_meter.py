"""What requests tell of a member's load."""

from __future__ import annotations

import asyncio

import pytest

from gateway.app.pools.load_meter import LoadMeter, MemberLoad
from gateway.core.errors import GatewayError
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG, ScriptedService, request
from tests.fakes.virtual_time import virtual_time
from tests.resilience.peers import silent


@virtual_time
async def test_requests_under_way_are_counted_and_timed() -> None:
    """While it waits it is under way; then its time is known."""
    load = MemberLoad("a", VirtualClock())
    meter, service = LoadMeter(load), ScriptedService(0.5)

    asking = asyncio.create_task(meter(request(), service))
    await asyncio.sleep(0.1)
    assert load.active == 1
    await asking

    assert load.active == 0
    assert load.latency_s == pytest.approx(0.5)
    assert (meter.requests, meter.failures) == (1, 0)


@virtual_time
async def test_a_failure_is_no_short_answer() -> None:
    """It is counted, and does not make the member look fast."""
    load = MemberLoad("a", VirtualClock())
    meter = LoadMeter(load)
    await meter(request(), ScriptedService(0.5))

    with pytest.raises(GatewayError):
        await meter(request(), ScriptedService(silent()))

    assert load.latency_s == pytest.approx(0.5)
    assert (load.active, meter.requests, meter.failures) == (0, 2, 1)


@virtual_time
async def test_a_caller_that_leaves_is_under_way_no_longer() -> None:
    """Cancelled while waiting, it leaves the count clean."""
    load = MemberLoad("a", VirtualClock())
    asking = asyncio.create_task(LoadMeter(load)(request(), ScriptedService(HANG)))
    await asyncio.sleep(0.1)

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert load.active == 0
