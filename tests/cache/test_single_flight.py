"""Equal requests at the same time are one, and nobody who leaves takes it from the others."""

from __future__ import annotations

import asyncio
import gc
import math

import pytest

from cache.single_flight import SingleFlight
from gateway.core.cache_events import FlightShared
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request, Response
from tests.cache.build import StepClock
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time

KEY, OTHER = b"a" * 32, b"b" * 32
IDLE = "<SingleFlight 0 flights, 0 waiters>"


def flights(telemetry: RecordingTelemetry) -> SingleFlight:
    return SingleFlight(StepClock(), telemetry)


async def run_ready() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@virtual_time
async def test_passes_through() -> None:
    """A lone request gets the service's answer, and leaves nothing."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(answer("edge"))

    response = await flight(request(key=KEY), service)

    assert response == answer("edge")
    assert repr(flight) == IDLE


@virtual_time
async def test_equal_requests_share_one_flight() -> None:
    """A hundred equal requests at once are one call; each but the first is reported as joined."""
    telemetry = RecordingTelemetry()
    flight, service = flights(telemetry), ScriptedService(0.1)

    responses = await asyncio.gather(*(flight(request(key=KEY), service) for _ in range(100)))

    assert len(service.requests) == 1
    assert all(response is responses[0] for response in responses)
    assert telemetry.of(FlightShared) == [FlightShared("digits")] * 99
    assert repr(flight) == IDLE


@virtual_time
async def test_other_keys_fly_apart() -> None:
    """Requests of two keys are two calls at the same time."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(1.0)
    start = asyncio.get_running_loop().time()

    await asyncio.gather(flight(request(key=KEY), service), flight(request(key=OTHER), service))

    assert len(service.requests) == 2
    assert asyncio.get_running_loop().time() - start == pytest.approx(1.0)


@virtual_time
async def test_a_flight_that_has_ended_is_not_joined() -> None:
    """Answers are shared, not cached: who comes later makes a call of its own."""
    flight, service = flights(RecordingTelemetry()), ScriptedService()

    await flight(request(key=KEY), service)
    await flight(request(key=KEY), service)

    assert len(service.requests) == 2


@virtual_time
async def test_the_first_to_leave_takes_nothing_from_the_others() -> None:
    """When the one who started the flight is cancelled, the others get its answer, from one call."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG)
    first, *others = (asyncio.create_task(flight(request(key=KEY), service)) for _ in range(4))
    await run_ready()

    first.cancel()
    await run_ready()
    assert repr(flight) == "<SingleFlight 1 flights, 3 waiters>"
    service.release()
    responses = await asyncio.gather(*others)

    assert first.cancelled()
    assert responses == [answer()] * 3
    assert len(service.requests) == 1


@virtual_time
async def test_the_last_to_leave_ends_the_flight() -> None:
    """A flight that nobody waits for any more is cancelled, and the service is left clean."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG)
    waiters = [asyncio.create_task(flight(request(key=KEY), service)) for _ in range(3)]
    await run_ready()

    for waiter in waiters:
        waiter.cancel()
    await run_ready()

    assert service.running == 0
    assert repr(flight) == IDLE


@virtual_time
async def test_nobody_joins_a_flight_that_is_being_cancelled() -> None:
    """A request that comes right after the last waiter left starts a flight of its own."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG, answer("edge"))
    leaving = asyncio.create_task(flight(request(key=KEY), service))
    await run_ready()
    leaving.cancel()
    await asyncio.sleep(0)

    response = await flight(request(key=KEY), service)

    assert response == answer("edge")
    assert len(service.requests) == 2
    assert repr(flight) == IDLE


@virtual_time
async def test_an_error_is_shared_and_not_kept() -> None:
    """All who waited get the same fault; the next request tries again."""
    flight = flights(RecordingTelemetry())
    service = ScriptedService(GatewayError(Fault.UNAVAILABLE, "down", retryable=True), answer())

    outcomes = await asyncio.gather(
        *(flight(request(key=KEY), service) for _ in range(3)), return_exceptions=True
    )

    assert [getattr(outcome, "fault", None) for outcome in outcomes] == [Fault.UNAVAILABLE] * 3
    assert await flight(request(key=KEY), service) == answer()


@virtual_time
async def test_a_much_more_patient_request_has_a_flight_of_its_own() -> None:
    """The layers below see their caller's deadline, and an impatient caller's is not the patient one's."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(3.0)
    start = asyncio.get_running_loop().time()

    first = asyncio.create_task(flight(request(key=KEY, deadline=start + 1), service))
    await run_ready()
    second = asyncio.create_task(flight(request(key=KEY, deadline=start + 10), service))
    third = asyncio.create_task(flight(request(key=KEY, deadline=start + 12), service))

    with pytest.raises(GatewayError) as raised:
        await first
    assert raised.value.fault is Fault.DEADLINE
    assert (await second, await third) == (answer(), answer())
    assert [sent.deadline for sent in service.requests] == [start + 1, start + 10]


@virtual_time
async def test_a_waiter_with_time_left_tries_again() -> None:
    """A flight that ran out of time is followed by another for those whose own time has not."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(8.0, 1.0)
    start = asyncio.get_running_loop().time()

    first = asyncio.create_task(flight(request(key=KEY, deadline=start + 6), service))
    second = asyncio.create_task(flight(request(key=KEY, deadline=start + 10), service))

    with pytest.raises(GatewayError):
        await first
    assert await second == answer()
    assert [sent.deadline for sent in service.requests] == [start + 6, start + 10]


@virtual_time
async def test_a_patient_request_does_not_wait_for_an_impatient_flight_to_fail() -> None:
    """A flight with less than half of a request's time is not joined: both are under way at once."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG)
    start = asyncio.get_running_loop().time()

    impatient = asyncio.create_task(flight(request(key=KEY, deadline=start + 1), service))
    joins = asyncio.create_task(flight(request(key=KEY, deadline=start + 2), service))
    own = asyncio.create_task(flight(request(key=KEY, deadline=start + 2.1), service))
    await run_ready()

    assert [sent.deadline for sent in service.requests] == [start + 1, start + 2.1]
    service.release()
    assert await asyncio.gather(impatient, joins, own) == [answer()] * 3


@virtual_time
async def test_a_flight_that_has_ended_does_not_hide_the_one_that_took_its_place() -> None:
    """When a flight ends, the later one of its key is still found and joined."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG)
    start = asyncio.get_running_loop().time()
    impatient = asyncio.create_task(flight(request(key=KEY, deadline=start + 1), service))
    patient = asyncio.create_task(flight(request(key=KEY, deadline=start + 10), service))
    with pytest.raises(GatewayError):
        await impatient

    joined = asyncio.create_task(flight(request(key=KEY, deadline=start + 10), service))
    await run_ready()

    assert len(service.requests) == 2
    assert repr(flight) == "<SingleFlight 1 flights, 2 waiters>"
    service.release()
    assert await asyncio.gather(patient, joined) == [answer()] * 2


@virtual_time
async def test_a_waiter_may_try_more_than_twice_and_never_past_its_deadline() -> None:
    """Each flight that a waiter joins has half of its time left, so its turns are few and end in time."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG)
    loop = asyncio.get_running_loop()
    start = loop.time()
    others = [asyncio.create_task(flight(request(key=KEY, deadline=start + 6), service))]
    waiter = asyncio.create_task(flight(request(key=KEY, deadline=start + 10), service))
    await asyncio.sleep(5)
    others.append(asyncio.create_task(flight(request(key=KEY, deadline=start + 8.5), service)))

    with pytest.raises(GatewayError) as raised:
        await waiter

    assert raised.value.fault is Fault.DEADLINE
    assert [sent.deadline for sent in service.requests] == [start + 6, start + 8.5, start + 10]
    assert loop.time() == pytest.approx(start + 10)
    await asyncio.gather(*others, return_exceptions=True)
    assert repr(flight) == IDLE


@virtual_time
async def test_an_early_timeout_from_below_is_everybodys() -> None:
    """Somebody below gave up long before the deadline: trying again is Retry's business."""
    late = GatewayError(Fault.DEADLINE, "the attempt took too long")
    flight, service = flights(RecordingTelemetry()), ScriptedService(late)
    start = asyncio.get_running_loop().time()

    first = asyncio.create_task(flight(request(key=KEY, deadline=start + 6), service))
    second = asyncio.create_task(flight(request(key=KEY, deadline=start + 10), service))

    assert await asyncio.gather(first, second, return_exceptions=True) == [late, late]
    assert len(service.requests) == 1


@virtual_time
async def test_an_answer_just_before_the_deadline_is_everybodys() -> None:
    """Only a flight that ran out of time is tried again; one that ends in its last moment has an answer."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(5.95, answer(value=9.0))
    start = asyncio.get_running_loop().time()

    first = asyncio.create_task(flight(request(key=KEY, deadline=start + 6), service))
    second = asyncio.create_task(flight(request(key=KEY, deadline=start + 10), service))

    assert await asyncio.gather(first, second) == [answer()] * 2
    assert len(service.requests) == 1


@virtual_time
async def test_another_fault_just_before_the_deadline_is_everybodys() -> None:
    """An endpoint that fails in the last moment has failed; trying again is Retry's business."""
    flight = flights(RecordingTelemetry())
    start = asyncio.get_running_loop().time()

    async def fails_late(_: Request) -> Response:
        await asyncio.sleep(5.95)
        raise GatewayError(Fault.UNAVAILABLE, "down")

    calls = [flight(request(key=KEY, deadline=start + left), fails_late) for left in (6, 10)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)

    assert [getattr(outcome, "fault", None) for outcome in outcomes] == [Fault.UNAVAILABLE] * 2
    assert asyncio.get_running_loop().time() == pytest.approx(start + 5.95)


@virtual_time
async def test_a_request_without_a_key_passes_by() -> None:
    """What no cache may keep is nobody else's answer either."""
    telemetry = RecordingTelemetry()
    flight, service = flights(telemetry), ScriptedService(1.0)

    await asyncio.gather(*(flight(request(), service) for _ in range(2)))

    assert len(service.requests) == 2
    assert telemetry.events == []


@virtual_time
async def test_a_flight_ends_at_its_own_deadline() -> None:
    """A service that never answers ends the flight as DEADLINE."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG)
    start = asyncio.get_running_loop().time()

    with pytest.raises(GatewayError) as raised:
        await flight(request(key=KEY, deadline=start + 5), service)

    assert raised.value.fault is Fault.DEADLINE
    assert asyncio.get_running_loop().time() - start == pytest.approx(5)
    assert service.running == 0


@virtual_time
async def test_a_request_without_a_deadline_is_not_given_one() -> None:
    """An infinite deadline stays infinite."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(100.0)

    await flight(request(key=KEY), service)

    assert math.isinf(service.requests[0].deadline)


@virtual_time
async def test_a_timeout_of_somebody_below_is_not_the_flights_own() -> None:
    """A TimeoutError out of the service is passed on as it is."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(TimeoutError("theirs"))

    with pytest.raises(TimeoutError, match="theirs"):
        await flight(request(key=KEY, deadline=asyncio.get_running_loop().time() + 5), service)


def test_a_shared_error_warns_nobody(telemetry: RecordingTelemetry) -> None:
    """An error whose waiters have all heard it, or left, is never reported as not retrieved."""
    heard: list[str] = []

    @virtual_time
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(str(context)))
        flight = flights(telemetry)

        async def fails_while_leaving(_: Request) -> Response:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise GatewayError(Fault.INTERNAL, "failed while leaving") from None
            return answer()

        waiter = asyncio.create_task(flight(request(key=KEY), fails_while_leaving))
        await run_ready()
        waiter.cancel()
        await run_ready()
        with pytest.raises(GatewayError):
            await flight(request(key=OTHER), ScriptedService(GatewayError(Fault.INTERNAL, "down")))

    scenario()
    gc.collect()

    assert heard == []


@virtual_time
async def test_aclose_cancels_flights_and_ends_their_waiters() -> None:
    """At the stop those who wait get UNAVAILABLE, to be tried elsewhere, and no task is left."""
    flight, service = flights(RecordingTelemetry()), ScriptedService(HANG)
    waiter = asyncio.create_task(flight(request(key=KEY), service))
    await run_ready()

    await flight.aclose()

    with pytest.raises(GatewayError) as raised:
        await waiter
    assert raised.value.fault is Fault.UNAVAILABLE
    assert raised.value.retryable
    assert service.running == 0
    assert repr(flight) == IDLE
    await flight.aclose()
