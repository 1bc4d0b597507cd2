"""Drain: leaving without dropping what was accepted."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Fault, GatewayError
from resilience.drain import Drain
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.virtual_time import virtual_time


@virtual_time
async def test_an_answer_passes_through() -> None:
    """Counting changes neither request nor answer, and readiness is on."""
    drain, service, sent, response = Drain(), ScriptedService(answer("edge")), request(), answer("edge")

    assert await drain(sent, service) == response

    assert service.requests[0] is sent
    assert drain.is_ready
    assert repr(drain) == "<Drain ready, 0 running>"


@virtual_time
async def test_it_waits_for_what_was_accepted() -> None:
    """Finished returns when the last request has its answer, one that came after begin included."""
    drain, loop = Drain(), asyncio.get_running_loop()
    early = asyncio.create_task(drain(request(), ScriptedService(2.0)))
    await asyncio.sleep(0)

    drain.begin()
    late = asyncio.create_task(drain(request(), ScriptedService(3.0)))
    await asyncio.sleep(0)

    assert not drain.is_ready
    assert repr(drain) == "<Drain draining, 2 running>"
    assert await drain.finished(10.0)
    assert loop.time() == 1003.0
    assert await asyncio.gather(early, late) == [answer(), answer()]


@virtual_time
async def test_an_idle_process_has_finished() -> None:
    """Nothing under way, nothing to wait for; waiting alone turns readiness off."""
    drain = Drain()

    assert await drain.finished(0.0)

    assert not drain.is_ready


@virtual_time
async def test_patience_ends() -> None:
    """A request that hangs does not keep the process from leaving, and is not cancelled by it."""
    drain, service = Drain(), ScriptedService(HANG)
    call = asyncio.create_task(drain(request(), service))
    await asyncio.sleep(0)

    assert not await drain.finished(5.0)

    assert asyncio.get_running_loop().time() == 1005.0
    assert service.running == 1
    service.release()
    await call
    assert await drain.finished(5.0)


@virtual_time
async def test_a_new_request_at_the_last_moment_is_waited_for() -> None:
    """When one ends and another begins in the same turn of the loop, the second counts."""
    drain = Drain()

    async def two_in_a_row() -> None:
        await drain(request(), ScriptedService(1.0))
        await drain(request(), ScriptedService(1.0))

    calls = asyncio.create_task(two_in_a_row())
    await asyncio.sleep(0)

    assert await drain.finished(10.0)

    assert asyncio.get_running_loop().time() == 1002.0
    await calls


@virtual_time
async def test_failures_and_leavers_are_counted_out() -> None:
    """A request that failed, and one whose caller left, are not waited for."""
    drain, hanging = Drain(), ScriptedService(HANG)
    failing = ScriptedService(GatewayError(Fault.INTERNAL, "broken"))
    caller = asyncio.create_task(drain(request(), hanging))
    await asyncio.sleep(0)

    with pytest.raises(GatewayError, match="broken"):
        await drain(request(), failing)
    caller.cancel()
    finished = await drain.finished(1.0)
    await asyncio.gather(caller, return_exceptions=True)

    assert finished
    assert repr(drain) == "<Drain draining, 0 running>"
