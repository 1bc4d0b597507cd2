"""The endpoints that policies name: kept while they do not change, closed once no request can hold them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.app.endpoint_set import NO_ENDPOINTS
from gateway.app.loading import Loaded
from gateway.config.policy_file import parse_policy
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.telemetry import BreakerAppeared, BreakerChanged, BreakerGone, Silence, Telemetry
from gateway.upstreams.upstream import Upstream
from resilience.settings import BreakerSettings, ResilienceSettings
from tests.fakes.service import HANG, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.workshop import FakeConnector, FakeUpstream, Workshop
from tests.gateway.policies import GOOD
from tests.resilience.peers import error_500

SECOND = GOOD.replace("generation: 1", "generation: 2")
MOVED = SECOND.replace("127.0.0.1:9", "127.0.0.1:10")
RENAMED = SECOND.replace("  central:", "  other:").replace("[central]", "[other]")


def workshop(
    failures: int = 2, *, upstream: FakeUpstream | None = None, telemetry: Telemetry | None = None
) -> Workshop:
    """Endpoints whose breakers open after so many ``failures``; with ``upstream``, there is no wire."""
    return Workshop(
        ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=failures)),
        telemetry=telemetry or Silence(),
        connector=FakeConnector(upstream) if upstream else None,
    )


@pytest.fixture
async def made():
    """A workshop that closes after the test."""
    made = workshop()
    yield made
    await made.aclose()


class CountingConnector(FakeConnector):
    """Counts how many members it has connected."""

    __slots__ = ("count",)

    def __init__(self, upstream: FakeUpstream) -> None:
        super().__init__(upstream)
        object.__setattr__(self, "count", 0)

    def connect(self, *args: Any, **named: Any) -> Upstream:
        object.__setattr__(self, "count", self.count + 1)
        return super().connect(*args, **named)


def limited(text: str, limits: str) -> str:
    """The policy with ``limits`` in the definition of its endpoint."""
    return text.replace('"}', f'", {limits}}}', 1)


async def fail_twice(service) -> None:
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            await service(request(deadline=asyncio.get_running_loop().time() + 5))
        assert caught.value.fault is Fault.UNAVAILABLE


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_nobody_at_the_address_opens_the_breaker(made: Workshop, protocol: str) -> None:
    """Connection failures count, and the router's view sees the result."""
    endpoints = made.enforce(GOOD.replace("protocol: grpc", f"protocol: {protocol}")).endpoints
    assert endpoints.is_available("central")

    await fail_twice(endpoints.by_name["central"])

    assert not endpoints.is_available("central")


async def test_unchanged_endpoint_outlives_a_reload(made: Workshop) -> None:
    """What a breaker has learned is not forgotten because a route changed."""
    first = made.enforce(GOOD).endpoints
    await fail_twice(first.by_name["central"])

    second = made.enforce(SECOND).endpoints

    assert second.by_name["central"] is first.by_name["central"]
    assert not second.is_available("central")
    assert made.endpoints.num_retiring == 0


@virtual_time
async def test_changed_endpoint_is_another_and_the_old_one_closes() -> None:
    """A new address starts with a closed breaker; the old connections go once no request can hold them."""
    made = workshop()
    first = made.enforce(GOOD).endpoints

    second = made.enforce(MOVED).endpoints

    assert second.by_name["central"] is not first.by_name["central"]
    assert made.endpoints.num_retiring == 1
    await asyncio.sleep(3600)
    assert made.endpoints.num_retiring == 0
    assert "closed" in repr(first.by_name["central"].members[0].parts.upstream)
    await made.aclose()


async def test_closing_does_not_wait_for_the_retiring(made: Workshop) -> None:
    """A shutdown closes at once what a reload would have closed later."""
    dropped = made.enforce(GOOD).endpoints.by_name["central"]
    used = made.enforce(RENAMED).endpoints.by_name["other"]

    async with asyncio.timeout(30):
        await made.endpoints.aclose()

    assert made.endpoints.num_retiring == 0
    assert all("closed" in repr(each.members[0].parts.upstream) for each in (dropped, used))


@pytest.fixture
async def silent():
    """The port of a server that takes every request and never answers."""
    writers: list[asyncio.StreamWriter] = []

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.read()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_an_endpoint_that_is_silent_fails_its_attempts(made: Workshop, silent: int) -> None:
    """Each attempt ends at its own limit, long before the request's deadline, and counts."""
    text = GOOD.replace("protocol: grpc", "protocol: http")
    text = limited(text, "attempt_timeout_ms: 50, max_concurrency: 8").replace(":9", f":{silent}")
    endpoints = made.enforce(text).endpoints

    for _ in range(2):
        with pytest.raises(GatewayError, match="the endpoint did not answer in time") as caught:
            await endpoints.by_name["central"](request(deadline=asyncio.get_running_loop().time() + 60))

    assert (caught.value.fault, caught.value.retryable, caught.value.counts) == (Fault.DEADLINE, True, True)
    assert not endpoints.is_available("central")


@virtual_time
async def test_waiting_in_our_own_queue_blames_no_endpoint() -> None:
    """A rush at an endpoint that answers everything in time is no evidence against it."""
    made = workshop(upstream=FakeUpstream(2.5))
    central = made.enforce(limited(GOOD, "attempt_timeout_ms: 5000, max_concurrency: 5")).endpoints.by_name[
        "central"
    ]
    service, deadline = central, asyncio.get_running_loop().time() + 15

    answers = await asyncio.gather(*(service(request(deadline=deadline)) for _ in range(15)))

    assert len(answers) == 15
    assert "closed, 0 of 2 failures" in repr(central.members[0].parts.health)
    assert asyncio.get_running_loop().time() == 1007.5
    await made.aclose()


@virtual_time
async def test_a_silent_endpoint_is_blamed_for_its_own_time_only() -> None:
    """Those who got a place and no answer are evidence; those who waited behind them go elsewhere in time."""
    made = workshop(failures=9, upstream=FakeUpstream(HANG))
    central = made.enforce(limited(GOOD, "attempt_timeout_ms: 5000, max_concurrency: 1")).endpoints.by_name[
        "central"
    ]
    service, deadline = central, asyncio.get_running_loop().time() + 6

    outcomes = await asyncio.gather(
        *(service(request(deadline=deadline)) for _ in range(4)), return_exceptions=True
    )

    assert [outcome.fault for outcome in outcomes] == [Fault.DEADLINE, *[Fault.OVERLOADED] * 3]
    assert "closed, 1 of 9 failures" in repr(central.members[0].parts.health)
    await made.aclose()


async def test_a_discarded_endpoint_is_closed_even_when_everything_ends_at_once(made: Workshop) -> None:
    """A policy that fails to be built at the start leaves no connection open."""
    endpoints = made.build(GOOD).endpoints

    made.endpoints.discard(endpoints)
    await made.endpoints.aclose()

    assert "closed" in repr(endpoints.by_name["central"].members[0].parts.upstream)


async def test_breakers_appear_and_go() -> None:
    """What is no longer in use leaves the metrics, and what it still meets does not bring it back."""
    telemetry = RecordingTelemetry()
    made = workshop(telemetry=telemetry)
    dropped = made.enforce(GOOD).endpoints.by_name["central"]

    made.enforce(RENAMED)
    await fail_twice(dropped)
    await made.aclose()

    assert telemetry.of(BreakerAppeared) == [BreakerAppeared("central"), BreakerAppeared("other")]
    assert telemetry.of(BreakerGone) == [BreakerGone("central")]
    assert telemetry.of(BreakerChanged) == []


async def test_state_is_shown(made: Workshop) -> None:
    """The endpoints in force, and how many are still to close."""
    assert repr(made.endpoints) == f"<Endpoints {NO_ENDPOINTS!r}, 0 retiring>"

    made.enforce(GOOD)
    made.enforce(MOVED)

    assert repr(made.endpoints).startswith(
        "<Endpoints <EndpointSet central <EndpointHealth <Ejection central"
    )
    assert repr(made.endpoints).endswith(", 1 retiring>")


TWO = """\
generation: 1
regions: {here: {serves: [EU]}, there: {serves: [NA]}}
failover: {here: [there], there: [here]}
residency: {anywhere: {regions: ["*"]}, homebound: {regions: [here]}}
tenants: {anonymous: {residency: anywhere}, acme: {residency: anywhere}, exile: {residency: homebound}}
endpoints:
  near: {tier: central, region: here, protocol: http, address: "127.0.0.1:9"}
  far: {tier: central, region: there, protocol: http, address: "127.0.0.1:10"}
routes:
- {name: all, endpoints: [near, far]}
"""


class LearningUpstream(FakeUpstream):
    """It must know its endpoint's metadata before it sends requests there."""

    def __init__(self) -> None:
        super().__init__()
        self.has_learned = False

    async def learn(self) -> None:
        self.has_learned = True


@virtual_time
async def test_an_upstream_that_learns_declares_it() -> None:
    """It has the layer that makes it learn before its first request; others do not."""
    upstream = LearningUpstream()
    for each, learns in ((upstream, 1), (FakeUpstream(), 0)):
        made = workshop(upstream=each)
        service = made.enforce(GOOD).endpoints.by_name["central"]

        await service(request())

        assert sum(layer.role == "abilities" for layer in service.layers()) == learns
        await made.aclose()
    assert upstream.has_learned


@virtual_time
@pytest.mark.parametrize(("name", "state"), [("near", "closed"), ("far", "open")])
async def test_500s_of_everybody_put_out_only_whom_others_can_stand_in_for(name: str, state: str) -> None:
    """Some requests may go nowhere but ``near``: it stays. All that go to ``far`` may go to ``near``."""
    made = workshop(upstream=FakeUpstream(error_500()))
    guarded = made.enforce(TWO).endpoints.by_name[name]

    for number in range(4):
        caller = Caller(tenant=("acme", "anonymous")[number % 2])
        with pytest.raises(GatewayError):
            await guarded(request(model=f"m{number % 2}", caller=caller))

    assert guarded.members[0].parts.health.state == state
    await made.aclose()


def pool(members: int, more: str = "") -> str:
    """A policy whose endpoint has so many members."""
    listed = ", ".join(f"'10.0.{number // 250}.{number % 250}:80'" for number in range(members))
    return GOOD.replace('address: "127.0.0.1:9"', f"addresses: [{listed}]{more}")


class LoopCount:
    """Counts the turns of the loop from ``with`` on."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


async def test_a_thousand_members_are_made_in_turns() -> None:
    """Sixteen in each; then one step takes them, and makes none."""
    connector = CountingConnector(FakeUpstream())
    made = Workshop(connector=connector)
    policy = parse_policy(Path("policy.yaml"), pool(1000).encode(), "here")
    made.enforce(GOOD)
    async with LoopCount() as turns:
        prebuilt = await made.endpoints.prebuild(policy)
        assert turns.count >= 1000 // 16
    assert (len(prebuilt), connector.count) == (1000, 1 + 1000)

    prepared = made.endpoints.prepare(policy, prebuilt=prebuilt)

    assert (len(prepared.by_name["central"].members), connector.count, prebuilt) == (1000, 1 + 1000, {})
    made.endpoints.discard(prepared)
    await made.aclose()


async def test_members_that_stay_are_not_made_ahead() -> None:
    """They keep their state; only those that are new are made."""
    connector = CountingConnector(FakeUpstream())
    made = Workshop(connector=connector)
    before = made.enforce(pool(20)).endpoints.by_name["central"]
    policy = parse_policy(Path("policy.yaml"), pool(25).encode(), "here")

    prebuilt = await made.endpoints.prebuild(policy)
    after = made.endpoints.prepare(policy, prebuilt=prebuilt).by_name["central"]

    assert connector.count == 25
    assert after.members[:20] == before.members
    assert await made.endpoints.prebuild(made.in_force.policy()) == {}
    await made.aclose()


@virtual_time
async def test_a_reload_that_is_cancelled_leaves_no_member() -> None:
    """Those that were made already are closed."""
    made = Workshop(connector=CountingConnector(FakeUpstream()))
    policy = parse_policy(Path("policy.yaml"), pool(100).encode(), "here")
    building = asyncio.create_task(made.endpoints.prebuild(policy))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    building.cancel()
    await asyncio.gather(building, return_exceptions=True)

    assert made.endpoints.num_retiring > 0
    await asyncio.sleep(1)
    assert made.endpoints.num_retiring == 0


@virtual_time
async def test_a_build_that_fails_lets_the_members_go() -> None:
    """Those that were made before, too."""
    made = Workshop(connector=CountingConnector(FakeUpstream()))
    policy = parse_policy(Path("policy.yaml"), pool(3).encode(), "here")
    loaded = await made.builder.prebuild(Loaded(policy, b"", {}))
    made.observed.is_failing = True

    with pytest.raises(KeyError):
        made.builder.build(loaded)

    assert loaded.prebuilt == {}
    assert made.endpoints.num_retiring == 3
    await asyncio.sleep(1)
    assert made.endpoints.num_retiring == 0


async def test_many_members_are_begun_with_in_turns() -> None:
    """The first at once, the last not before other work had its turn; an end in between forgets none."""
    upstream = FakeUpstream()
    made = Workshop(connector=CountingConnector(upstream))
    made.enforce(pool(100))
    one = made.in_force.endpoints().by_name["central"]

    def begun() -> int:
        return sum("running" in repr(each.parts.refresher) for each in one.members)

    assert 0 < begun() < 20
    for _ in range(8):
        await asyncio.sleep(0)
    assert begun() == 100
    made.enforce(pool(100, ", attempt_timeout_ms: 700").replace("generation: 1", "generation: 2"))
    await made.aclose()
