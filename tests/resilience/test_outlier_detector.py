"""OutlierDetector: whom a comparison puts out, for how long, and whom never."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Why
from resilience.outcomes import Interval
from resilience.outlier_detector import OutlierDetector
from resilience.settings import OutlierSettings
from tests.fakes.virtual_time import virtual_time
from tests.resilience.peers import Guarded, Peer, silent


class Member:
    """``failing``: percent of 1000 requests in each interval."""

    def __init__(self, name: str, failing: int = 0) -> None:
        self.name, self.failing = name, failing
        self.is_well = True
        self.ejections: list[float] = []

    def interval(self) -> Interval:
        return Interval(self.name, 1000 - 10 * self.failing, 10 * self.failing)

    def eject(self, why: Why, for_s: float) -> None:
        assert why.reason in {"success_rate", "failure_percentage"}
        self.ejections.append(for_s)
        self.is_well = False


def detection(members: list[Member], seed: int = 0, **settings: object) -> OutlierDetector:
    return OutlierDetector(
        OutlierSettings(**settings),  # type: ignore[arg-type]
        lambda: members,
        clock=LoopClock(),
        chance=Random(seed),
    )


def members_of(*failing: int) -> list[Member]:
    return [Member(f"m{number}", each) for number, each in enumerate(failing)]


def out(members: list[Member]) -> list[str]:
    return [member.name for member in members if not member.is_well]


def test_the_last_one_is_never_out():
    members = members_of(100, 0)
    members[1].is_well = False
    detection(members, max_ejection_percent=100.0).look()
    assert out(members) == ["m1"]


@pytest.mark.parametrize(("percent", "most"), [(0.0, 1), (10.0, 2), (15.0, 3), (50.0, 4), (100.0, 4)])
def test_max_ejection_percent(percent: float, most: int):
    """One may always be out, as it was with Envoy once; the worst first."""
    members = members_of(96, 99, 97, 98, *[0] * 16)
    detection(members, max_ejection_percent=percent, success_rate_stdev_factor=1000).look()
    assert out(members) == sorted(["m1", "m3", "m2", "m0"][:most])


def test_it_takes_longer_each_time_and_is_forgiven():
    members = members_of(0, 0, 0, 0, 0, 95)
    bad = members[-1]
    looking = detection(members, max_ejection_time_s=80.0)
    for _ in range(4):
        # Out for three looks, then in and no better.
        for _ in range(3):
            looking.look()
        bad.is_well = True
    assert bad.ejections == [30.0, 60.0, 80.0, 80.0]

    bad.failing = 0
    for _ in range(3):
        looking.look()
    bad.failing = 95
    looking.look()
    assert bad.ejections[-1] == 60.0


def test_enforcing_is_a_share_of_the_cases():
    ejected = 0
    for seed in range(400):
        members = members_of(0, 0, 0, 0, 0, 95)
        detection(members, seed, enforcing_success_rate=25.0).look()
        ejected += bool(out(members))
    assert 60 <= ejected <= 140


@virtual_time
async def test_it_looks_in_each_interval_until_it_is_closed():
    members = members_of(0, 0, 95)
    looking = detection(members, interval_s=10.0)
    looking.start()
    looking.start()
    await asyncio.sleep(9.9)
    assert not out(members)
    await asyncio.sleep(0.2)
    assert out(members) == ["m2"]
    await looking.aclose()
    members[2].is_well = True
    await asyncio.sleep(60)
    assert not out(members)


@virtual_time
async def test_a_look_that_fails_is_not_the_last(caplog: pytest.LogCaptureFixture):
    members = members_of(0, 0, 95)
    calls = iter([RuntimeError("once")])

    def these() -> list[Member]:
        for error in calls:
            raise error
        return members

    looking = OutlierDetector(OutlierSettings(), these, clock=LoopClock(), chance=Random(0))
    looking.start()
    with caplog.at_level(logging.ERROR):
        await asyncio.sleep(25)
    await looking.aclose()
    assert "could not be compared" in caplog.text and out(members) == ["m2"]


@virtual_time
async def test_real_members():
    """One of three fails nine requests of ten, never five in a row: it is out for 30 s though its checks succeed."""
    guarded = [Guarded(Peer(last=False), seed=number, consecutive_5xx=100) for number in range(3)]
    for number, each in enumerate(guarded):
        each.health.name = f"m{number}"
    bad = guarded[2]
    looking = OutlierDetector(
        OutlierSettings(), lambda: [each.health for each in guarded], clock=LoopClock(), chance=Random(0)
    )
    looking.start()
    for number in range(100):
        bad.peer.outcome = None if number % 10 == 0 else silent("reset")
        for each in guarded:
            await each.ask()
    await asyncio.sleep(10.1)
    assert [each.health.state for each in guarded] == ["closed", "closed", "open"]
    assert "failure_percentage" in str(bad.health.report())
    bad.peer.outcome = None
    await asyncio.sleep(25)
    assert await bad.ask() == "out"
    await asyncio.sleep(6)
    assert await bad.ask() == "ok"
    assert bad.health.state == "closed"
    # Where it has become the last one, nobody waits for the time to be over.
    for number in range(100):
        bad.peer.outcome = None if number % 10 == 0 else silent("reset")
        for each in guarded:
            await each.ask()
    bad.peer.outcome = None
    await asyncio.sleep(10.1)
    assert bad.health.state == "open"
    bad.peer.last = True
    await asyncio.sleep(1.1)
    assert await bad.ask() == "ok"
    await looking.aclose()
    for each in guarded:
        await each.health.aclose()
