"""The endpoints that policies name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.app.endpoints import Endpoints, Health
from gateway.app.observe import Observed
from gateway.config.policy_file import load_policy
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.telemetry import BreakerAppeared, BreakerChanged, BreakerGone, Silence
from resilience.settings import BreakerSettings, ResilienceSettings
from tests.fakes.service import HANG, ScriptedService, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.gateway.policies import GOOD, write_policy
from tests.resilience.peers import Peer, error_500


@pytest.fixture
async def endpoints():
    """Endpoints whose breakers open at the second failure."""
    settings = ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=2))
    made = Endpoints(settings, LoopClock(), Silence(), Observed(LoopClock(), Silence(), None))
    yield made
    await made.aclose()


def policy(tmp_path: Path, text: str = GOOD):
    return load_policy(write_policy(tmp_path, text))[0]


async def fail_twice(service) -> None:
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            await service(request(deadline=asyncio.get_running_loop().time() + 5))
        assert caught.value.fault is Fault.UNAVAILABLE


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_nobody_at_the_address_opens_the_breaker(endpoints, tmp_path: Path, protocol: str) -> None:
    """Connection failures count, and the router's view sees the result."""
    made = endpoints.prepare(policy(tmp_path, GOOD.replace("protocol: grpc", f"protocol: {protocol}")))
    endpoints.commit(made, 0)
    assert endpoints.is_available("central")

    await fail_twice(made["central"].service)

    assert not endpoints.is_available("central")
    assert not endpoints.is_available("nobody")


async def test_unchanged_endpoint_outlives_a_reload(endpoints, tmp_path: Path) -> None:
    """What a breaker has learned is not forgotten because a route changed."""
    made = endpoints.prepare(policy(tmp_path))
    endpoints.commit(made, 0)
    await fail_twice(made["central"].service)

    again = endpoints.prepare(policy(tmp_path, GOOD.replace("generation: 1", "generation: 2")))
    endpoints.commit(again, 0)

    assert again["central"] is made["central"]
    assert not endpoints.is_available("central")


async def test_changed_endpoint_is_another_and_the_old_one_closes(endpoints, tmp_path: Path) -> None:
    """A new address starts with a closed breaker; the old connections go after a grace."""
    made = endpoints.prepare(policy(tmp_path))
    endpoints.commit(made, 0)

    again = endpoints.prepare(policy(tmp_path, GOOD.replace("127.0.0.1:9", "127.0.0.1:10")))
    assert endpoints.catalog("central") is made["central"].catalog, "nothing is in force before commit"
    endpoints.commit(again, 0.001)

    assert again["central"] is not made["central"]
    assert "1 retiring" in repr(endpoints)
    await asyncio.sleep(0.05)
    assert "0 retiring" in repr(endpoints)


async def test_closing_does_not_wait_for_the_retiring(endpoints, tmp_path: Path) -> None:
    """A shutdown closes at once what a reload would have closed later."""
    endpoints.commit(endpoints.prepare(policy(tmp_path)), 0)
    endpoints.commit({}, 3600)

    async with asyncio.timeout(30):
        await endpoints.aclose()

    assert repr(endpoints) == "<Endpoints none, 0 retiring>"


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


def silent_policy(tmp_path: Path, port: int, *, attempt_ms: int, concurrency: int = 8):
    text = GOOD.replace("protocol: grpc", "protocol: http").replace("127.0.0.1:9", f"127.0.0.1:{port}")
    limits = f"attempt_timeout_ms: {attempt_ms}, max_concurrency: {concurrency}}}"
    return policy(tmp_path, text.replace(f'127.0.0.1:{port}"}}', f'127.0.0.1:{port}", {limits}'))


async def test_an_endpoint_that_is_silent_fails_its_attempts(endpoints, tmp_path: Path, silent: int) -> None:
    """Each attempt ends at its own limit, long before the request's deadline, and counts."""
    made = endpoints.prepare(silent_policy(tmp_path, silent, attempt_ms=50))
    endpoints.commit(made, 0)

    for _ in range(2):
        with pytest.raises(GatewayError, match="the endpoint did not answer in time") as caught:
            await made["central"].service(request(deadline=asyncio.get_running_loop().time() + 60))

    assert (caught.value.fault, caught.value.retryable, caught.value.counts) == (Fault.DEADLINE, True, True)
    assert not endpoints.is_available("central")


def wired(service: ScriptedService) -> ScriptedService:
    """What a health needs of an upstream, beside the service."""
    peer = Peer(last=True)
    for name in ("check", "move", "renew"):
        setattr(service, name, getattr(peer, name))
    service.aclose = service.refresh = nothing  # type: ignore[attr-defined]
    return service


async def nothing() -> None: ...


@virtual_time
async def test_waiting_in_our_own_queue_blames_no_endpoint(tmp_path: Path) -> None:
    """A rush at an endpoint that answers everything in time is no evidence against it."""
    settings = ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=2))
    endpoints = Endpoints(settings, LoopClock(), Silence(), Observed(LoopClock(), Silence(), None))
    upstream = ScriptedService(2.5)
    endpoints._upstream = lambda *_: wired(upstream)  # type: ignore[assignment,return-value] # no wire here
    limits = "attempt_timeout_ms: 5000, max_concurrency: 5}"
    made = endpoints.prepare(policy(tmp_path, GOOD.replace('127.0.0.1:9"}', f'127.0.0.1:9", {limits}')))
    service, deadline = made["central"].service, asyncio.get_running_loop().time() + 15

    answers = await asyncio.gather(*(service(request(deadline=deadline)) for _ in range(15)))

    assert len(answers) == 15
    assert "closed, 0 of 2 failures" in repr(made["central"].health)
    assert asyncio.get_running_loop().time() == 1007.5


@virtual_time
async def test_a_silent_endpoint_is_blamed_for_its_own_time_only(tmp_path: Path) -> None:
    """Those who got a place and no answer are evidence; those who waited behind them go elsewhere in time."""
    settings = ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=9))
    endpoints = Endpoints(settings, LoopClock(), Silence(), Observed(LoopClock(), Silence(), None))
    upstream = ScriptedService(HANG)
    endpoints._upstream = lambda *_: wired(upstream)  # type: ignore[assignment,return-value] # no wire here
    limits = "attempt_timeout_ms: 5000, max_concurrency: 1}"
    made = endpoints.prepare(policy(tmp_path, GOOD.replace('127.0.0.1:9"}', f'127.0.0.1:9", {limits}')))
    service, deadline = made["central"].service, asyncio.get_running_loop().time() + 6

    outcomes = await asyncio.gather(
        *(service(request(deadline=deadline)) for _ in range(4)), return_exceptions=True
    )

    assert [outcome.fault for outcome in outcomes] == [Fault.DEADLINE, *[Fault.OVERLOADED] * 3]
    assert "closed, 1 of 9 failures" in repr(made["central"].health)


async def test_health_of_a_generation_outlives_a_reload(endpoints, tmp_path: Path) -> None:
    """Requests under way still go to endpoints that a newer policy does not name."""
    made = endpoints.prepare(policy(tmp_path))
    endpoints.commit(made, 0)
    health = Health(made)

    endpoints.commit({}, 60)

    assert health.is_available("central")
    assert not health.is_available("nobody")
    assert repr(health).startswith("<Health <EndpointHealth <Ejection central closed")


async def test_a_discarded_endpoint_is_closed_even_when_everything_ends_at_once(
    endpoints, tmp_path: Path
) -> None:
    """A policy that fails to be built at the start leaves no connection open."""
    made = endpoints.prepare(policy(tmp_path))

    endpoints.discard(made)
    await endpoints.aclose()

    assert "closed" in repr(made["central"].upstream)


async def test_breakers_are_told_when_they_come_and_go(tmp_path: Path) -> None:
    """What is no longer in use leaves the metrics, and what it still meets does not bring it back."""
    telemetry = RecordingTelemetry()
    settings = ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=2))
    endpoints = Endpoints(settings, LoopClock(), telemetry, Observed(LoopClock(), telemetry, None))
    made = endpoints.prepare(policy(tmp_path))
    endpoints.commit(made, 0)

    endpoints.commit({}, 60)
    await fail_twice(made["central"].service)
    await endpoints.aclose()

    assert telemetry.of(BreakerAppeared) == [BreakerAppeared("central")]
    assert telemetry.of(BreakerGone) == [BreakerGone("central")]
    assert telemetry.of(BreakerChanged) == []


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


@virtual_time
async def test_500s_of_everybody_put_out_only_whom_others_can_stand_in_for(tmp_path: Path) -> None:
    """Some requests may go nowhere but ``near``: it stays. All that go to ``far`` may go to ``near``."""
    settings = ResilienceSettings(breaker=BreakerSettings(consecutive_5xx=2))
    observed = Observed(LoopClock(), Silence(), None)
    for name, state in (("near", "closed"), ("far", "open")):
        endpoints = Endpoints(settings, LoopClock(), Silence(), observed, region="here")
        failing = wired(ScriptedService(error_500()))
        endpoints._upstream = lambda *_, failing=failing: failing  # type: ignore[assignment,return-value,misc] # no wire here
        rules = policy(tmp_path, TWO)
        made = endpoints.prepare(rules)
        endpoints.commit(made, 0, policy=rules)

        for number in range(4):
            who = Caller(tenant=("acme", "anonymous")[number % 2])
            with pytest.raises(GatewayError):
                await made[name].service(request(model=f"m{number % 2}", caller=who))

        assert made[name].health.state == state
        await endpoints.aclose()
