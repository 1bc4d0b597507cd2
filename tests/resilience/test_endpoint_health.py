"""EndpointHealth: blame for the guilty only, and outages that stay short."""

from __future__ import annotations

import asyncio
import logging
from itertools import product

import pytest

from gateway.core.errors import Fault, GatewayError, Why
from gateway.core.telemetry import BreakerChanged
from resilience.endpoint_health import PROOFS_OF_LIFE
from resilience.settings import OutlierSettings
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import VirtualLoop, virtual_time
from tests.resilience.peers import REFUSED, UNREADY, Guarded, Peer, error_500, silent, status


@pytest.mark.parametrize("reason", ["refused", "timeout", "reset"])
def test_where_nobody_answers_five_failures_put_it_out(reason: str) -> None:
    """Whether others can take over or not: what cannot succeed is refused at once, and says why."""

    @virtual_time
    async def check() -> None:
        guarded = Guarded(Peer(silent(reason), REFUSED, last=True))

        outcomes = await guarded.asks(7)

        assert outcomes == [reason] * 5 + ["out"] * 2
        assert guarded.health.report() == {"state": "open", "reason": reason, "detail": ""}
        assert str(Why(reason)) in guarded.health.refusal().message
        await guarded.health.aclose()

    check()


@virtual_time
async def test_a_status_that_put_it_out_is_reported_with_its_message(telemetry: RecordingTelemetry) -> None:
    """To clients without addresses and values; to operators as it came; to the metric as one word."""
    guarded = Guarded(Peer(status(), UNREADY, last=False), telemetry)
    await guarded.asks(5)

    assert guarded.health.refusal().message == (
        "endpoint 'central' is unavailable: its circuit breaker is open (it answered 503: backend … is gone)"
    )
    assert guarded.health.refusal().unsent
    assert guarded.health.report() == {
        "state": "open",
        "reason": "503",
        "detail": "backend 10.0.0.7 is gone",
    }
    assert telemetry.of(BreakerChanged) == [BreakerChanged("central", "open", "503")]
    await guarded.health.aclose()


@virtual_time
async def test_500s_of_one_model_refuse_nobody(telemetry: RecordingTelemetry) -> None:
    """One client's inputs may be what breaks it: others go on, and its requests go elsewhere if they can."""
    guarded = Guarded(Peer(error_500(), last=False), telemetry)

    assert await guarded.asks(20, model="fragile") == ["500"] * 20

    health = guarded.health
    assert (health.is_available, health.state) == (True, "closed")
    assert not health.is_preferred("fragile")
    assert health.is_preferred("innocent")
    assert health.report() == {
        "state": "closed",
        "models": {
            "fragile": {"state": "open", "reason": "500", "detail": "this input breaks the model"},
        },
    }
    assert telemetry.of(BreakerChanged) == [BreakerChanged("central", "open", "500", "fragile")]
    await health.aclose()


@virtual_time
async def test_500s_of_one_tenant_are_not_the_endpoints() -> None:
    """However many models it breaks."""
    guarded = Guarded(Peer(error_500(), last=False))

    for number in range(40):
        await guarded.ask(model=f"m{number % 4}", tenant="umbrella")

    assert guarded.health.state == "closed"
    await guarded.health.aclose()


@virtual_time
async def test_500s_of_several_models_and_tenants_are_the_endpoints() -> None:
    """Where another endpoint can take over, it does."""
    guarded = Guarded(Peer(error_500(), UNREADY, last=False))

    for number in range(5):
        await guarded.ask(model=f"m{number % 2}", tenant=f"t{number % 2}")

    assert guarded.health.state == "open"
    await guarded.health.aclose()


@virtual_time
async def test_500s_of_everybody_do_not_put_the_last_one_out() -> None:
    """While its health checks succeed: nobody else could take the requests."""
    peer = Peer(error_500(), last=True)
    guarded = Guarded(peer)
    outcomes = []
    for number in range(200):
        outcomes.append(await guarded.ask(model=f"m{number % 3}", tenant=f"t{number % 2}"))
        await asyncio.sleep(0.05)

    assert set(outcomes) == {"500"}
    assert peer.checks
    await guarded.health.aclose()


@virtual_time
async def test_a_success_in_between_acquits() -> None:
    """In a row means in a row: for the endpoint, and for a model."""
    guarded = Guarded(Peer(last=False))
    for number in range(40):
        guarded.peer.outcome = None if number % 5 == 4 else error_500()
        await guarded.ask(model=f"m{number % 2}", tenant=f"t{number % 2}")

    assert guarded.health.state == "closed"
    await guarded.health.aclose()


@virtual_time
async def test_a_health_check_that_fails_after_500s_puts_the_endpoint_out() -> None:
    """One model's 500s and a server that says it is not ready say the same."""
    guarded = Guarded(Peer(error_500(), UNREADY, last=False))
    await guarded.asks(5)
    assert guarded.health.state == "closed"

    await asyncio.sleep(0.25)

    assert guarded.health.state == "open"
    report = guarded.health.report()
    assert (report["reason"], report["models"]["digits"]["reason"]) == ("not_ready", "500")
    await guarded.health.aclose()


@pytest.mark.parametrize("last", [True, False])
def test_one_models_500s_at_a_server_that_serves_and_says_it_is_not_ready_refuse_nobody(last: bool) -> None:
    """One tenant's five requests are no reason to send everybody away: others were served since."""

    @virtual_time
    async def check() -> None:
        peer = Peer(error_500(), UNREADY, last=last)
        guarded = Guarded(peer)
        await guarded.asks(5, model="bad", tenant="evil")
        outcomes = []
        for number in range(200):
            peer.outcome = error_500() if number % 10 == 9 else None
            bad = {"model": "bad", "tenant": "evil"} if number % 10 == 9 else {}
            outcomes += await guarded.asks(1, **bad)
            await asyncio.sleep(0.02)

        assert outcomes.count("ok") == 180
        assert "out" not in outcomes
        assert peer.checks
        await guarded.health.aclose()

    check()


@virtual_time
async def test_closed_it_checks_no_more() -> None:
    """Calls that were under way may still fail, those of a model that never failed before, too."""
    peer = Peer(error_500(), last=True)
    guarded = Guarded(peer)
    await guarded.health.aclose()

    await guarded.asks(5, model="new")
    peer.outcome = silent()
    await guarded.asks(5)
    await asyncio.sleep(60)

    assert peer.checks == []


@virtual_time
async def test_the_smallest_deployment_goes_on_while_its_health_checks_succeed() -> None:
    """One tenant, one model, one endpoint: 500s for a minute refuse no request, and it was asked all along."""
    peer = Peer(error_500(), last=True)
    guarded = Guarded(peer)
    outcomes = []
    for _ in range(600):
        outcomes.append(await guarded.ask())
        await asyncio.sleep(0.1)

    assert set(outcomes) == {"500"}
    assert len(peer.checks) > 20
    peer.become(None, None)
    assert await guarded.ask() == "ok"
    assert "open" not in repr(guarded.health)
    await asyncio.sleep(1)
    await guarded.health.aclose()


@pytest.mark.parametrize("fault", sorted(PROOFS_OF_LIFE), ids=str)
def test_a_callers_mistake_never_puts_it_out(fault: Fault) -> None:
    """A 4xx proves that the endpoint works: any number of them, and they reset the count."""

    @virtual_time
    async def check() -> None:
        guarded = Guarded(Peer(silent(), last=True))
        await guarded.asks(4)
        guarded.peer.outcome = GatewayError(fault, "bad request")

        assert set(await guarded.asks(100)) == {fault.value}
        assert repr(guarded.health) == "<EndpointHealth <Ejection central closed, 0 of 5 failures>>"

    check()


@virtual_time
async def test_what_was_never_sent_acquits_nobody() -> None:
    """A request that cannot be written in the endpoint's way says nothing about it."""
    guarded = Guarded(Peer(silent(), last=True))
    await guarded.asks(4)
    unwritten = GatewayError(Fault.INVALID, "it cannot be written as JSON", unsent=True)
    guarded.peer.outcome = unwritten

    await guarded.asks(10)

    assert repr(guarded.health) == "<EndpointHealth <Ejection central closed, 4 of 5 failures>>"


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.DEADLINE, Fault.CANCELLED, Fault.UNAVAILABLE])
def test_what_is_ours_or_the_callers_is_no_evidence(fault: Fault) -> None:
    """A full queue of ours and a caller out of time neither raise the count nor reset it."""

    @virtual_time
    async def check() -> None:
        guarded = Guarded(Peer(silent(), last=True))
        await guarded.asks(4)
        guarded.peer.outcome = GatewayError(fault, "not the endpoint's")

        await guarded.asks(10)

        assert repr(guarded.health) == "<EndpointHealth <Ejection central closed, 4 of 5 failures>>"
        await guarded.health.aclose()

    check()


@virtual_time
async def test_another_address_is_taken_before_the_name_is_out() -> None:
    """A name with several addresses is several endpoints; when they are used up, it is out."""
    guarded = Guarded(Peer(silent(), REFUSED, last=True))
    guarded.peer.moves = [True, False]

    assert await guarded.asks(11) == ["refused"] * 10 + ["out"]
    assert guarded.peer.moves == []
    assert guarded.health.state == "open"
    assert guarded.peer.renewed == 1, "what was open may lead nowhere"
    await guarded.health.aclose()


@virtual_time
async def test_moving_without_a_success_ends() -> None:
    """Two addresses that both hang do not take turns for ever."""
    guarded = Guarded(Peer(silent("timeout"), REFUSED, last=True))
    guarded.peer.moves = [True] * 100

    await guarded.asks(25)

    assert guarded.health.state == "open"
    await guarded.health.aclose()


@virtual_time
async def test_models_that_nobody_can_count_are_forgotten() -> None:
    """Names may be anybody's."""
    guarded = Guarded(Peer(error_500(), last=True))
    for number in range(1000):
        await guarded.ask(model=f"m{number}")

    assert guarded.health.model_count == 256
    await guarded.health.aclose()


@virtual_time
async def test_retired_it_is_silent(telemetry: RecordingTelemetry) -> None:
    """Another endpoint may have the name now."""
    guarded = Guarded(Peer(silent(), REFUSED, last=True), telemetry)
    guarded.health.retire()
    await guarded.asks(5)

    assert guarded.health.state == "open"
    assert telemetry.events == []
    await guarded.health.aclose()


@virtual_time
async def test_what_checks_leaves_nothing_behind() -> None:
    """Closed in the middle of it all, no task is left; ``virtual_time`` looks."""
    guarded = Guarded(Peer(error_500(), last=False))
    await guarded.asks(5, model="one")
    await guarded.asks(5, model="two")
    guarded.peer.become(silent(), REFUSED)
    await guarded.asks(6)
    await asyncio.sleep(3)

    await guarded.health.aclose()


STATES = {
    "ok": (None, None),
    "silent": (silent(), REFUSED),
    "unready": (status(), UNREADY),
    "errors": (error_500(), None),
}
FINALLY = {"ok": (None, None), "says it is not ready, and serves": (None, UNREADY)}
ASKS, GAP_S = 2, 0.15


async def recovery_s(
    states: tuple[str, ...], seed: int, *, last: bool, finally_: str = "ok"
) -> tuple[float, float]:
    """Play the states one after the other, then be well.

    Returns how long no request got through after that, and how long the next health check might have taken.
    """
    peer = Peer(last=last)
    guarded = Guarded(peer, seed=seed, consecutive_5xx=2, max_ejection_time_s=2.0)
    loop = asyncio.get_running_loop()
    for state in states:
        peer.become(*STATES[state])
        for number in range(ASKS):
            outcome = await guarded.ask(f"m{number % 2}", f"t{number % 2}")
            if last and state == "errors" and guarded.health.state != "open":
                assert outcome != "out"
            await asyncio.sleep(GAP_S)
    peer.become(*FINALLY[finally_])
    began = loop.time()
    interval_s = min(0.25 * 2**guarded.health.failed_checks, 2.0)
    while await guarded.ask() != "ok":
        await asyncio.sleep(0.04)
    took_s = loop.time() - began
    await guarded.health.aclose()
    return took_s, interval_s


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred thousand changes of state are not worth a line each."""
    caplog.set_level(logging.CRITICAL, "edgeway.breaker")


many = pytest.mark.parametrize("count", [5, pytest.param(6, marks=pytest.mark.nightly)])


@many
@pytest.mark.parametrize("finally_", FINALLY)
@pytest.mark.usefixtures("quiet")
def test_after_any_faults_the_last_endpoint_is_back_within_a_second(finally_: str, count: int) -> None:
    """All sequences; also when its health check goes on saying that it is not ready."""
    kinds = STATES if finally_ == "ok" else ("ok", "silent", "unready")

    async def play() -> None:
        for seed, states in enumerate(product(kinds, repeat=count)):
            took_s, _ = await recovery_s(states, seed, last=True, finally_=finally_)
            assert took_s <= 1.0, states

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())


@many
@pytest.mark.usefixtures("quiet")
def test_after_any_faults_an_endpoint_is_back_within_one_interval(count: int) -> None:
    """Others take its requests meanwhile: the checks of what stays away get rare."""

    async def play() -> None:
        for seed, states in enumerate(product(STATES, repeat=count)):
            took_s, interval_s = await recovery_s(states, seed, last=False)
            assert took_s <= interval_s + 0.04, states

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(play())


@virtual_time
async def test_kinds_of_failures_apart() -> None:
    """Split as Envoy splits them: what came to no answer has its own row, which an answer ends."""
    outlier = OutlierSettings(split_external_local_origin_errors=True, consecutive_local_origin_failure=3)
    guarded = Guarded(Peer(last=False), outlier_detection=outlier)
    for outcome in (silent(), silent(), status(), status(), silent(), status(), status()):
        guarded.peer.outcome = outcome
        await guarded.ask()
    assert guarded.health.state == "closed"

    guarded.peer.outcome = silent()
    await guarded.asks(3)
    assert guarded.health.state == "open"
    await guarded.health.aclose()


@virtual_time
async def test_gateway_failures_where_they_are_enforced() -> None:
    outlier = OutlierSettings(enforcing_consecutive_gateway_failure=100.0, consecutive_gateway_failure=2)
    guarded = Guarded(Peer(status(), UNREADY, last=False), outlier_detection=outlier)
    assert await guarded.asks(3) == ["503", "503", "out"]
    await guarded.health.aclose()


@virtual_time
async def test_failures_in_a_row_where_they_are_not_enforced() -> None:
    guarded = Guarded(
        Peer(status(), last=False), outlier_detection=OutlierSettings(enforcing_consecutive_5xx=0.0)
    )
    assert await guarded.asks(50) == ["503"] * 50
    await guarded.health.aclose()


@virtual_time
async def test_a_models_errors_are_no_outcome_of_the_endpoint() -> None:
    """One caller's inputs would put out the member that a hash leads them to."""
    guarded = Guarded(Peer(error_500(), last=False))
    await guarded.asks(20)
    assert guarded.health.interval().failures == 0
    await guarded.health.aclose()
