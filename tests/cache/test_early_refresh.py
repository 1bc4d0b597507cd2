"""Requests that the cache makes by itself: bounded, in the background, and without harm when they fail."""

from __future__ import annotations

import asyncio
import gc

import pytest

from cache.early_refresh import EarlyRefreshes
from cache.single_flight import SingleFlight
from gateway.core.cache_events import FlightShared
from gateway.core.errors import Fault, GatewayError
from tests.cache.build import StepClock
from tests.fakes.service import HANG, ScriptedService, request
from tests.fakes.stack import stack
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

KEY, OTHER = b"a" * 32, b"b" * 32
IDLE = "<EarlyRefreshes 0 of 64 running>"


async def run_ready() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@virtual_time
async def test_a_refresh_runs_without_a_caller() -> None:
    """It has a fresh deadline of its own, and an equal one is not started beside it."""
    refreshes, service = EarlyRefreshes(StepClock()), ScriptedService(HANG)
    start = asyncio.get_running_loop().time()

    refreshes.start(request(key=KEY, deadline=start + 0.5), service)
    refreshes.start(request(key=KEY), service)
    refreshes.start(request(key=OTHER), service)
    await run_ready()

    assert [sent.key for sent in service.requests] == [KEY, OTHER]
    assert service.requests[0].deadline == pytest.approx(start + 15)
    service.release()
    await run_ready()
    assert repr(refreshes) == IDLE


@virtual_time
async def test_requests_that_may_go_elsewhere_are_refreshed_apart() -> None:
    """A forwarded request must not keep the refresh of the region's own from starting."""
    refreshes, service = EarlyRefreshes(StepClock()), ScriptedService(HANG)

    refreshes.start(request(key=KEY, hops=1), service)
    refreshes.start(request(key=KEY, regions=frozenset({"here"})), service)
    await run_ready()

    assert service.running == 2
    await refreshes.aclose()


@virtual_time
async def test_a_miss_joins_a_refresh_and_may_leave_it() -> None:
    """A request that comes after the expiry waits for the refresh; when it leaves, the refresh goes on."""
    telemetry, service = RecordingTelemetry(), ScriptedService(HANG)
    refreshes, flight = EarlyRefreshes(StepClock()), SingleFlight(StepClock(), telemetry)
    rest = stack(flight, service=service)
    start = asyncio.get_running_loop().time()

    refreshes.start(request(key=KEY), rest)
    await run_ready()
    joined = asyncio.create_task(flight(request(key=KEY, deadline=start + 20), service))
    await run_ready()

    assert repr(flight) == "<SingleFlight 1 flights, 2 waiters>"
    assert telemetry.of(FlightShared) == [FlightShared("digits")]
    joined.cancel()
    await run_ready()
    assert service.running == 1
    service.release()
    await run_ready()
    assert (repr(refreshes), len(service.requests)) == (IDLE, 1)


@virtual_time
async def test_refreshes_are_bounded() -> None:
    """One that finds no place is left out; when another has ended there is a place again."""
    refreshes, service = EarlyRefreshes(StepClock(), most=2), ScriptedService(HANG)

    for number in range(5):
        refreshes.start(request(key=bytes([number])), service)
    await run_ready()

    assert service.running == 2
    service.release()
    await run_ready()
    refreshes.start(request(key=KEY), service)
    await run_ready()
    assert len(service.requests) == 3


def test_a_failed_refresh_is_silent_unless_it_is_a_bug() -> None:
    """A fault is reported to nobody; any other exception reaches the loop's handler."""
    heard: list[str] = []

    @virtual_time
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(repr(context["exception"])))
        refreshes = EarlyRefreshes(StepClock())
        refreshes.start(request(key=KEY), ScriptedService(GatewayError(Fault.UNAVAILABLE, "down")))
        refreshes.start(request(key=OTHER), ScriptedService(ValueError("a bug")))
        await run_ready()
        assert repr(refreshes) == IDLE

    scenario()
    gc.collect()

    assert heard == ["ValueError('a bug')"]


@virtual_time
async def test_aclose_cancels_what_is_under_way() -> None:
    """No task is left, and closing again is harmless."""
    refreshes, service = EarlyRefreshes(StepClock()), ScriptedService(HANG)
    refreshes.start(request(key=KEY), service)
    await run_ready()

    await refreshes.aclose()

    assert service.running == 0
    await refreshes.aclose()
