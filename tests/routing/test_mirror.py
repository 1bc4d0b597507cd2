"""The filter that has copies of answered requests sent."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Response
from gateway.core.telemetry import ShadowFinished
from routing.mirror import Mirror, Mirrored
from tests.fakes.clock import VirtualClock
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.routing.policies import policy, route

EVERYWHERE = frozenset({"eu-west", "us-east", "ap-south"})


class Followed(list[Mirrored]):
    """What was handed on."""

    def __repr__(self) -> str:
        return f"{len(self)} followed"

    def __call__(self, mirrored: Mirrored) -> None:
        self.append(mirrored)


class Mirroring:
    """A mirror, and what it hands on."""

    def __init__(self, seed: int = 1, **shadow: Any) -> None:
        self.followed, self.telemetry = Followed(), RecordingTelemetry()
        self.service = ScriptedService()
        values = {"version": "2", **shadow}
        found = policy(routes=[route(endpoints=["central", "central-eu"], shadow=values)])
        (only,) = found.routes
        assert only.shadow is not None
        self.mirror = Mirror(
            found,
            only,
            only.shadow,
            "eu-west",
            follow=self.followed,
            clock=VirtualClock(),
            chance=Random(seed),
            telemetry=self.telemetry,
        )

    async def ask(self, **changes: Any) -> Response:
        return await self.mirror(request(**{"regions": EVERYWHERE, **changes}), self.service)


@virtual_time
async def test_the_answer_passes_and_a_copy_follows() -> None:
    """Of another version, with time of its own, and with nothing that caches or retries have noted."""
    mirroring = Mirroring(timeout_ms=700)
    mirroring.service.steps = [0.25]

    response = await mirroring.ask(
        id="7", key=b"k", attempt=1, tried=("central/a",), trace=(("traceparent", "t"),), deadline=1001.0
    )

    (mirrored,) = mirroring.followed
    copy = mirrored.copy
    assert mirrored.response is response
    assert mirrored.seconds == pytest.approx(0.25)
    assert mirrored.endpoints == ("central-eu", "central")
    assert (copy.id, copy.version, copy.deadline) == ("7", "2", pytest.approx(1000.25 + 0.7))
    assert (copy.key, copy.attempt, copy.tried, copy.trace) == (b"", 0, (), ())
    assert (copy.inputs, copy.regions) == (mirroring.service.requests[0].inputs, EVERYWHERE)
    assert mirroring.service.requests[0].version == ""


@virtual_time
async def test_an_answer_that_is_there_at_once_stays_so() -> None:
    """An edge model that answers inline costs no coroutine."""
    mirroring, given = Mirroring(), answer("edge")

    assert mirroring.mirror(request(regions=EVERYWHERE), lambda _request: given) is given

    assert [each.response for each in mirroring.followed] == [given]


@virtual_time
async def test_what_is_not_answered_is_not_mirrored() -> None:
    """There is nothing to compare; and who fails already gets no more load."""
    mirroring = Mirroring()
    mirroring.service.steps = [GatewayError(Fault.UNAVAILABLE, "down"), HANG]
    with pytest.raises(GatewayError, match="down"):
        await mirroring.ask()
    leaving = asyncio.create_task(mirroring.ask())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)

    assert mirroring.followed == []
    assert mirroring.service.running == 0
    assert mirroring.telemetry.events == []


@pytest.mark.parametrize(
    "changes",
    [{"hops": 1}, {"parameters": {"sequence_id": 7}}, {"version": "2"}],
    ids=["another gateway has mirrored it", "a step of a sequence", "the shadow's own version"],
)
@virtual_time
async def test_some_requests_have_no_shadow(changes: dict[str, Any]) -> None:
    """They pass by, and are counted nowhere."""
    mirroring = Mirroring()

    await mirroring.ask(**changes)

    assert len(mirroring.service.requests) == 1
    assert mirroring.followed == []
    assert mirroring.telemetry.events == []


@virtual_time
async def test_the_same_version_at_other_endpoints_is_compared() -> None:
    """A trial of a machine, not of a model."""
    mirroring = Mirroring(endpoints=["central"])

    await mirroring.ask(version="2")

    assert [each.endpoints for each in mirroring.followed] == [("central",)]


@virtual_time
async def test_without_a_version_the_copy_keeps_that_of_its_request() -> None:
    """What a canary has chosen goes to both."""
    mirroring = Mirroring(version=None, endpoints=["central"])

    for version in ("", "5"):
        await mirroring.ask(version=version)

    assert [each.copy.version for each in mirroring.followed] == ["", "5"]


@pytest.mark.parametrize(
    ("regions", "shadow", "endpoints"),
    [
        ({"eu-west"}, {}, ("central-eu",)),
        ({"eu-west"}, {"endpoints": ["central"]}, None),
        ({"us-east"}, {}, None),
        ({"us-east", "ap-south"}, {"endpoints": ["central"]}, None),
        (None, {}, None),
    ],
    ids=[
        "here alone",
        "the shadow is elsewhere",
        "passed on",
        "passed on to the shadow's region",
        "not fixed",
    ],
)
@virtual_time
async def test_residency_binds_the_shadow(
    regions: set[str] | None, shadow: dict[str, Any], endpoints: tuple[str, ...] | None
) -> None:
    """A copy goes nowhere that its request might not go; what may not be kept here is not kept for it."""
    mirroring = Mirroring(**shadow)

    await mirroring.ask(regions=None if regions is None else frozenset(regions))

    if endpoints is None:
        assert mirroring.followed == []
        assert mirroring.telemetry.events == [ShadowFinished("digits", "outside_residency")]
    else:
        assert [each.endpoints for each in mirroring.followed] == [endpoints]


@pytest.mark.parametrize(
    ("percent", "least", "most"), [(0, 0, 0), (10, 55, 150), (50, 430, 570), (100, 1000, 1000)]
)
@virtual_time
async def test_a_part_is_drawn_by_chance(percent: float, least: int, most: int) -> None:
    """Equal requests are drawn anew each time, so that no input is over-represented: four sigma of 1000."""
    mirroring = Mirroring(percent=percent)

    for _ in range(1000):
        await mirroring.ask()

    assert least <= len(mirroring.followed) <= most


def test_its_repr_says_what_it_does() -> None:
    """Operators read it at /stack."""
    assert repr(Mirroring(percent=2.5).mirror) == (
        "<Mirror 2.5 % to central-eu, central, version 2: 0 followed>"
    )
    assert "to no endpoint:" in repr(Mirroring(version=None, endpoints=["eu-west-gw"]).mirror)
