"""Admission: who may come in, and how many at once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request
from gateway.core.service import FastPath
from gateway.core.telemetry import Refused
from resilience.admission import Admission, Seats
from resilience.settings import AdmissionSettings
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time


def known(caller: Caller) -> Caller:
    return caller


def stranger(_: Caller) -> Caller:
    raise GatewayError(Fault.UNAUTHENTICATED, "send a valid key")


def admission(telemetry: RecordingTelemetry, identify=known, **settings) -> Admission:
    chosen = AdmissionSettings(**settings)
    return Admission(identify, Seats(chosen.max_requests), chosen, telemetry)


@virtual_time
async def test_a_known_caller_passes_through(telemetry: RecordingTelemetry) -> None:
    """A caller whom identify leaves as it is costs no copy of the request."""
    service, sent, response = ScriptedService(answer("edge")), request(), answer("edge")

    assert await admission(telemetry)(sent, service) == response

    assert service.requests[0] is sent
    assert telemetry.events == []


@virtual_time
async def test_below_admission_the_caller_is_the_checked_one(telemetry: RecordingTelemetry) -> None:
    """What identify returns replaces the claim."""
    service, checked = ScriptedService(), Caller(tenant="acme")

    await admission(telemetry, lambda _: checked)(request(caller=Caller(tenant="claimed")), service)

    assert service.requests[0].caller is checked


@virtual_time
async def test_a_stranger_is_refused(telemetry: RecordingTelemetry) -> None:
    """What identify raises is the answer; the service is not called and no place is lost."""
    service, subject = ScriptedService(), admission(telemetry, stranger)

    with pytest.raises(GatewayError, match="send a valid key"):
        await subject(request(), service)

    assert service.requests == []
    assert telemetry.events == [Refused("admission", "unauthenticated")]
    assert repr(subject) == "<Admission 0 of 1024 running>"


@virtual_time
async def test_one_too_many_is_refused(telemetry: RecordingTelemetry) -> None:
    """At the limit the next caller is told when to come again; when one ends, there is room."""
    subject = admission(telemetry, max_requests=2, retry_after_s=3.0)
    service = ScriptedService(HANG)
    calls = [asyncio.create_task(subject(request(), service)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(GatewayError) as caught:
        await subject(request(), service)

    assert caught.value.fault is Fault.OVERLOADED
    assert caught.value.retry_after_s == 3.0
    assert len(service.requests) == 2
    assert telemetry.events == [Refused("admission", "concurrency")]
    assert repr(subject) == "<Admission 2 of 2 running>"
    service.release()
    await asyncio.gather(*calls)
    await subject(request(), service)


@virtual_time
async def test_failures_and_leavers_give_their_place_back(telemetry: RecordingTelemetry) -> None:
    """A place is free again after a fault and after a caller who left."""
    subject = admission(telemetry, max_requests=1)
    service = ScriptedService(GatewayError(Fault.INTERNAL, "broken"), HANG)

    with pytest.raises(GatewayError, match="broken"):
        await subject(request(), service)
    caller = asyncio.create_task(subject(request(), service))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)

    assert service.running == 0
    assert repr(subject) == "<Admission 0 of 1 running>"


@virtual_time
async def test_two_stacks_share_the_seats(telemetry: RecordingTelemetry) -> None:
    """Requests of the policy before take seats until they end: a reload must not double the load."""
    seats, settings = Seats(1), AdmissionSettings()
    old, new = (Admission(known, seats, settings, telemetry) for _ in range(2))
    service = ScriptedService(HANG)
    running = asyncio.create_task(old(request(), service))
    await asyncio.sleep(0)

    assert seats.are_taken()
    with pytest.raises(GatewayError) as caught:
        await new(request(), service)
    service.release()
    await running

    assert caught.value.fault is Fault.OVERLOADED
    assert repr(seats) == "<Seats 0 of 1 taken>"


@virtual_time
async def test_seats_are_taken_by_those_who_wait(telemetry: RecordingTelemetry) -> None:
    """Of calls that are made together and awaited later, no more than the limit get in."""
    subject = admission(telemetry, max_requests=1)
    service = ScriptedService(HANG)
    first, second = (subject(request(), service) for _ in range(2))
    waiting = asyncio.create_task(first)
    await asyncio.sleep(0)

    with pytest.raises(GatewayError, match="limit of concurrent requests"):
        await second

    assert len(telemetry.of(Refused)) == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert repr(subject) == "<Admission 0 of 1 running>"


@virtual_time
async def test_an_answer_that_is_there_takes_no_seat(telemetry: RecordingTelemetry) -> None:
    """It is over before anybody else could ask."""
    subject = admission(telemetry, max_requests=1)
    there = answer("edge")

    assert subject(request(), lambda _: there) is there
    assert repr(subject) == "<Admission 0 of 1 running>"


class HitPath:
    """The rest of a stack whose fast path answers everything; keeps which requests it was found for."""

    def __init__(self) -> None:
        self.found: list[Request] = []

    def __call__(self, like: Request) -> FastPath | None:
        self.found.append(like)
        return lambda _: answer("edge")


def test_the_fast_path_is_that_of_the_checked_caller(telemetry: RecordingTelemetry) -> None:
    """Whoever names another tenant must not get that tenant's answers out of the cache."""
    rest, checked = HitPath(), Caller(tenant="acme")
    subject = admission(telemetry, lambda _: checked)

    path = subject.fast_path(request(caller=Caller(tenant="claimed"), id="7"), rest)

    assert path is not None
    assert path([b""]) == answer("edge")
    assert rest.found == [request(caller=checked, id="7")]


def test_the_fast_path_of_a_known_caller_costs_no_copy(telemetry: RecordingTelemetry) -> None:
    """A caller whom identify leaves as it is needs no other request."""
    rest, like = HitPath(), request()

    admission(telemetry).fast_path(like, rest)

    assert rest.found[0] is like


def test_without_a_fast_path_below_there_is_none(telemetry: RecordingTelemetry) -> None:
    """Such requests take the call."""
    assert admission(telemetry).fast_path(request(), lambda _: None) is None


def test_a_stranger_has_no_fast_path(telemetry: RecordingTelemetry) -> None:
    """The caller is refused, and nothing below is looked at."""
    rest = HitPath()

    with pytest.raises(GatewayError, match="send a valid key"):
        admission(telemetry, stranger).fast_path(request(), rest)

    assert rest.found == []


@pytest.mark.parametrize(("taken", "is_open"), [(1, True), (2, False), (3, False)])
def test_the_fast_path_is_closed_while_no_seat_is_free(
    telemetry: RecordingTelemetry, taken: int, is_open: bool
) -> None:
    """The call then refuses, and counts the refusal."""
    seats, settings = Seats(2), AdmissionSettings()
    path = Admission(known, seats, settings, telemetry).fast_path(request(), HitPath())
    assert path is not None

    seats.taken = taken

    assert (path([b""]) is not None) == is_open
    seats.taken = 0
    assert path([b""]) == answer("edge")
