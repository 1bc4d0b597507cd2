"""Bulkhead: how many requests one endpoint may hold of ours."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from gateway.core.telemetry import Refused
from resilience.bulkhead import Bulkhead
from resilience.settings import BulkheadSettings
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import VirtualLoop, virtual_loop, virtual_time

START = 1000.0


def bulkhead(telemetry: RecordingTelemetry, running: int = 1, pending: int = 2) -> Bulkhead:
    return Bulkhead(BulkheadSettings(max_concurrency=running, max_pending=pending), telemetry)


async def turn() -> None:
    """Let everybody run until they wait."""
    for _ in range(3):
        await asyncio.sleep(0)


@virtual_time
async def test_an_answer_passes_through(telemetry: RecordingTelemetry) -> None:
    """With a place free the request goes down as it came."""
    service, sent = ScriptedService(answer("edge")), request()

    assert await bulkhead(telemetry)(sent, service) == answer("edge")

    assert service.requests[0] is sent
    assert telemetry.events == []


@virtual_time
async def test_first_come_first_served(telemetry: RecordingTelemetry) -> None:
    """Who waits is served in order, and a newcomer cannot slip in between."""
    wall, service = bulkhead(telemetry), ScriptedService(1.0)
    calls = [asyncio.create_task(wall(request(id=str(n)), service)) for n in range(3)]
    await turn()
    assert repr(wall) == "<Bulkhead 1 of 1 running, 2 pending>"

    await asyncio.sleep(1.0)
    calls.append(asyncio.create_task(wall(request(id="newcomer"), service)))
    await asyncio.gather(*calls)

    assert [seen.id for seen in service.requests] == ["0", "1", "2", "newcomer"]
    assert asyncio.get_running_loop().time() == START + 4
    assert repr(wall) == "<Bulkhead 0 of 1 running, 0 pending>"


@virtual_time
async def test_one_too_many_is_refused(telemetry: RecordingTelemetry) -> None:
    """A full queue refuses at once; that is ours, so it may go elsewhere and counts against nobody."""
    wall, service = bulkhead(telemetry, running=1, pending=1), ScriptedService(HANG)
    calls = [asyncio.create_task(wall(request(), service)) for _ in range(2)]
    await turn()

    with pytest.raises(GatewayError) as caught:
        await wall(request(), service)

    assert caught.value.fault is Fault.OVERLOADED
    assert caught.value.retryable
    assert not caught.value.counts
    assert telemetry.events == [Refused("bulkhead", "full")]
    service.release()
    await asyncio.gather(*calls)


@virtual_time
async def test_the_wait_leaves_time_for_another_endpoint(telemetry: RecordingTelemetry) -> None:
    """A request that has waited half of its time leaves the queue, and blames no endpoint."""
    wall, service = bulkhead(telemetry), ScriptedService(HANG)
    running = asyncio.create_task(wall(request(), service))
    await turn()

    with pytest.raises(GatewayError) as caught:
        await wall(request(deadline=START + 2), service)

    assert caught.value.fault is Fault.OVERLOADED
    assert (caught.value.counts, caught.value.retryable) == (False, True)
    assert asyncio.get_running_loop().time() == START + 1
    assert telemetry.events == [Refused("bulkhead", "slow")]
    assert len(service.requests) == 1
    assert repr(wall) == "<Bulkhead 1 of 1 running, 0 pending>"
    service.release()
    await running


@virtual_time
async def test_no_timer_outlives_the_wait(telemetry: RecordingTelemetry) -> None:
    """A place in time leaves no armed timer behind."""
    wall, service = bulkhead(telemetry), ScriptedService(1.0)

    await asyncio.gather(*(wall(request(deadline=START + 3600), service) for _ in range(2)))

    assert virtual_loop().armed == []


@virtual_time
async def test_a_waiter_who_leaves_harms_nobody(telemetry: RecordingTelemetry) -> None:
    """The one behind moves up, and the place of the one who left is free."""
    wall, service = bulkhead(telemetry), ScriptedService(1.0)
    first, leaver, last = [asyncio.create_task(wall(request(), service)) for _ in range(3)]
    await turn()

    leaver.cancel()
    outcomes = await asyncio.gather(first, leaver, last, return_exceptions=True)

    assert [type(outcome).__name__ for outcome in outcomes] == ["Response", "CancelledError", "Response"]
    assert repr(wall) == "<Bulkhead 0 of 1 running, 0 pending>"


@virtual_time
async def test_a_place_handed_to_one_who_leaves_goes_on(telemetry: RecordingTelemetry) -> None:
    """Handed over and cancelled in the same turn of the loop: the next in line gets the place."""
    wall, service = bulkhead(telemetry), ScriptedService(HANG)

    async def answer_then_cancel() -> None:
        await wall(request(), service)
        leaver.cancel()

    first = asyncio.create_task(answer_then_cancel())
    leaver, last = [asyncio.create_task(wall(request(), service)) for _ in range(2)]
    await turn()

    service.release()
    outcomes = await asyncio.gather(first, leaver, last, return_exceptions=True)

    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "CancelledError", "Response"]
    assert repr(wall) == "<Bulkhead 0 of 1 running, 0 pending>"


@virtual_time
async def test_a_place_is_not_handed_to_one_who_has_left(telemetry: RecordingTelemetry) -> None:
    """Cancelled first and passed over in the same turn of the loop: the next in line gets the place."""
    wall, service = bulkhead(telemetry), ScriptedService(HANG)
    first, leaver, last = [asyncio.create_task(wall(request(), service)) for _ in range(3)]
    await turn()

    service.release()
    leaver.cancel()
    outcomes = await asyncio.gather(first, leaver, last, return_exceptions=True)

    assert [type(outcome).__name__ for outcome in outcomes] == ["Response", "CancelledError", "Response"]
    assert repr(wall) == "<Bulkhead 0 of 1 running, 0 pending>"


@virtual_time
async def test_leaving_at_the_deadline_is_leaving(telemetry: RecordingTelemetry) -> None:
    """Cancelled and at the end of its wait in the same turn of the loop: the caller's wish stands, nothing is left."""
    wall, service, loop = bulkhead(telemetry), ScriptedService(HANG), asyncio.get_running_loop()
    first = asyncio.create_task(wall(request(), service))
    leaver = asyncio.create_task(wall(request(deadline=START + 4), service))
    loop.call_at(START + 2, leaver.cancel)
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    (outcome,) = await asyncio.gather(leaver, return_exceptions=True)

    assert isinstance(outcome, asyncio.CancelledError)
    assert complaints == []
    assert repr(wall) == "<Bulkhead 1 of 1 running, 0 pending>"
    service.release()
    await first


@virtual_time
async def test_a_failure_gives_its_place_back(telemetry: RecordingTelemetry) -> None:
    """After a fault the next request runs."""
    wall, service = bulkhead(telemetry), ScriptedService(GatewayError(Fault.INTERNAL, "broken"), answer())

    with pytest.raises(GatewayError, match="broken"):
        await wall(request(), service)

    assert await wall(request(), service) == answer()


lives = st.tuples(st.integers(0, 3), st.integers(0, 3), st.none() | st.integers(0, 4), st.integers(1, 5))


@given(st.lists(lives, max_size=15), st.integers(1, 3), st.integers(0, 4))
def test_places_are_never_lost_nor_doubled(
    schedule: list[tuple[int, int, int | None, int]], running: int, pending: int
) -> None:
    """However requests come, leave and expire: the limit holds, and in the end all places are free."""
    wall = bulkhead(RecordingTelemetry(), running, pending)
    at_once, most = 0, 0

    async def serve(_: Request, seconds: int) -> Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await asyncio.sleep(seconds)
        finally:
            at_once -= 1
        return answer()

    async def one(comes: int, takes: int, leaves: int | None, time_s: int) -> None:
        await asyncio.sleep(comes)
        loop = asyncio.get_running_loop()
        call = asyncio.create_task(
            wall(request(deadline=loop.time() + time_s), lambda sent: serve(sent, takes))
        )
        if leaves is not None:
            loop.call_later(leaves, call.cancel)
        await asyncio.gather(call, return_exceptions=True)

    async def main() -> None:
        await asyncio.gather(*(one(*life) for life in schedule))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())

    assert most <= running
    assert repr(wall) == f"<Bulkhead 0 of {running} running, 0 pending>"
