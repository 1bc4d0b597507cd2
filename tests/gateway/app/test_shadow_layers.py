"""The layer that mirrors, in the stacks of a policy, with pools and breakers around it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.core.errors import GatewayError
from gateway.core.request import Caller, Request, Response
from gateway.core.telemetry import BreakerChanged, LayerTimed, RetryScheduled, ShadowFinished
from resilience.settings import BreakerSettings, ResilienceSettings
from tests.fakes.service import HANG, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.workshop import FakeConnector, FakeUpstream, Workshop
from tests.resilience.peers import silent


class Versions(FakeUpstream):
    """Answers; what asks for version 2 it lets down."""

    def __init__(self) -> None:
        super().__init__()
        self.of_two: list[Request] = []
        self.fails = True

    async def __call__(self, request: Request) -> Response:
        if request.version == "2":
            self.of_two.append(request)
            if self.fails:
                raise silent()
            return replace(answer(), version="2")
        return await super().__call__(request)

    async def describe(self, model: str, version: str) -> None:
        raise silent()


def policy(shadow: dict[str, Any] | None, **route: Any) -> str:
    shadowed = {"shadow": shadow} if shadow is not None else {}
    central = {"tier": "central", "protocol": "http", "region": "here"}
    return json.dumps(
        {
            "generation": 1,
            "regions": {"here": {}, "there": {}},
            "residency": {"all": {"regions": ["*"]}, "abroad": {"regions": ["there"]}},
            "tenants": {"anonymous": {"residency": "all"}, "exile": {"residency": "abroad"}},
            "endpoints": {
                "central": {**central, "addresses": ["10.0.0.1:80", "10.0.0.2:80"]},
                "trial": {**central, "address": "10.0.0.3:80"},
                "abroad": {**central, "region": "there", "address": "10.0.0.4:80"},
            },
            "routes": [
                {
                    "name": "digits",
                    "match": {"model": "digits"},
                    "endpoints": ["central", "abroad"],
                    **shadowed,
                    **route,
                }
            ],
        }
    )


class Scene:
    def __init__(self, shadow: dict[str, Any] | None, **route: Any) -> None:
        self.upstream, self.telemetry = Versions(), RecordingTelemetry()
        self.workshop = Workshop(
            ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=2)),
            telemetry=self.telemetry,
            connector=FakeConnector(self.upstream),
        )
        self.workshop.enforce(policy(shadow, **route))

    async def ask(self, **changes: Any) -> Response:
        return await self.workshop.in_force.current()(request(**changes))

    def layers(self) -> list[str]:
        return [layer.role for layer in self.workshop.in_force.current().routes["digits"].layers]

    @property
    def results(self) -> list[str]:
        return [each.result for each in self.telemetry.of(ShadowFinished)]

    async def aclose(self) -> None:
        await self.workshop.aclose()


@virtual_time
async def test_a_route_without_a_shadow_has_no_layer_for_it() -> None:
    """And nothing of it is sent anywhere else."""
    scene = Scene(None)
    await scene.ask()
    await asyncio.sleep(1)

    assert "shadow" not in scene.layers()
    assert scene.results == []
    await scene.aclose()


@pytest.mark.parametrize("shadow", [{"version": "2"}, {"version": "2", "endpoints": ["trial"]}])
@virtual_time
async def test_a_shadow_puts_no_endpoint_out(shadow: dict[str, Any]) -> None:
    """Its failures are held against nobody: not the member, not the model there, not the retry budget."""
    scene = Scene(shadow)

    for _ in range(20):
        await scene.ask()
        await asyncio.sleep(1)

    assert scene.results == ["failed"] * 20
    assert len(scene.upstream.of_two) == 20
    assert scene.telemetry.of(BreakerChanged) == []
    assert scene.telemetry.of(RetryScheduled) == []
    assert scene.workshop.endpoints.num_retiring == 0
    reports = scene.workshop.in_force.endpoints().report()
    members = reports["central"]["members"].values()
    assert sum(each["requests"] for each in members) == 20
    assert not any(each["failures"] or each.get("penalized") for each in members)
    await scene.aclose()


@virtual_time
async def test_the_callers_answer_does_not_wait() -> None:
    """It is there before the copy has been sent, and while that is under way."""
    scene = Scene({"version": "2", "max_in_flight": 1, "max_waiting": 1, "timeout_ms": 100})
    scene.upstream.fails = False
    start = asyncio.get_running_loop().time()

    for _ in range(10):
        await scene.ask()
    for _ in range(20):
        # It is written in far fewer turns of the loop.
        await asyncio.sleep(0)

    assert asyncio.get_running_loop().time() == start
    assert scene.upstream.of_two == []
    assert scene.results == ["dropped"] * 8
    await asyncio.sleep(1)
    assert scene.results[8:] == ["agreed", "agreed"]
    await scene.aclose()


@virtual_time
async def test_times_of_shadows_are_a_series_of_their_own() -> None:
    """What callers wait for is not mixed with what nobody waits for."""
    scene = Scene({"version": "2"})
    scene.upstream.fails = False
    await scene.ask()
    await asyncio.sleep(1)

    timed = [each.layer for each in scene.telemetry.of(LayerTimed)]
    assert timed.count("shadow") == 1
    assert timed.count("upstream") == 1
    await scene.aclose()


@virtual_time
async def test_what_is_passed_on_is_not_kept_for_a_shadow() -> None:
    """An exile's request goes abroad and comes back; a copy of it goes nowhere, though the endpoint may see it."""
    scene = Scene({"version": "2", "endpoints": ["abroad"]})
    await scene.ask(caller=Caller(tenant="exile", vouched=True))
    await asyncio.sleep(1)

    assert scene.results == ["outside_residency"]
    assert scene.upstream.of_two == []

    await scene.ask()
    await asyncio.sleep(1)
    assert scene.results[1:] == ["failed"]
    await scene.aclose()


@virtual_time
async def test_a_reload_lets_copies_end_at_the_endpoints_that_they_hold() -> None:
    """The endpoint stays open for as long as a copy may take, though no policy names it any more."""
    scene = Scene({"endpoints": ["trial"], "timeout_ms": 60_000})
    old = scene.workshop.in_force.current()
    scene.upstream.steps = [answer(), HANG]
    await scene.ask()
    await asyncio.sleep(1)

    scene.workshop.enforce(policy(None).replace('"generation": 1', '"generation": 2'))
    await asyncio.sleep(30)
    scene.upstream.release()
    await asyncio.sleep(0.5)

    assert scene.results == ["agreed"]
    assert old.longest_s == 60 + scene.workshop.in_force.current().longest_s
    await scene.aclose()


@virtual_time
async def test_the_stack_says_what_is_mirrored() -> None:
    """For `explain --stack` and /stack: where to, how much, and what came of it."""
    scene = Scene({"version": "2", "endpoints": ["trial"], "percent": 100})
    await scene.ask()
    await asyncio.sleep(1)

    report = str(await scene.workshop.in_force.current().report())

    assert "<Mirror 100 % to trial, version 2: <ShadowQueue 0 of 4 running, 0 waiting>, 1 failed>" in report
    await scene.aclose()


@virtual_time
async def test_where_no_member_is_up_the_pool_says_so() -> None:
    """It is as an endpoint that fails, and nobody waits for it."""
    scene = Scene({"version": "2", "endpoints": ["trial"]})
    pool = scene.workshop.in_force.endpoints().by_name["central"]
    scene.upstream.steps = [silent()]
    for _ in range(6):
        with pytest.raises(GatewayError):
            await scene.ask()

    with pytest.raises(GatewayError, match="none of its members"):
        await pool.mirror(request())
    await scene.aclose()
