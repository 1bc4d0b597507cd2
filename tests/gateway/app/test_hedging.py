"""Hedging through whole stacks: which member a hedge goes to, and what the one that loses is blamed for."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.core.errors import GatewayError
from gateway.core.telemetry import HedgeDenied, HedgeEnded
from tests.fakes.service import HANG, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, member, text
from tests.resilience.peers import silent

ONE, TWO, SPARE = "10.0.0.1:80", "10.0.0.2:80", "127.0.0.1:99"


def hedged(*addresses: str, hedge: str = "{delay_ms: 10, budget_percent: 100}", **changes: object) -> str:
    """A policy whose route is hedged; members take turns."""
    more = "load_balancing: {policy: round_robin}"
    made = text(*addresses, more=more, **changes)  # type: ignore[arg-type]
    return made.replace("num_retries:", f"hedge: {hedge}, num_retries:")


async def send(scene: Scene, number: int = 1) -> None:
    for _ in range(number):
        await scene.ask()
    for _ in range(3):
        await asyncio.sleep(0)


@virtual_time
async def test_a_hedge_goes_to_another_member(telemetry: RecordingTelemetry) -> None:
    """The slow one is not asked again, and the next endpoint is not asked before all members were."""
    scene = Scene(telemetry=telemetry)
    pool = scene.enforce(hedged(ONE, TWO))
    scene.members[ONE].steps = [HANG]

    await send(scene, 10)

    # The hedge takes the other's turn, so each request begins at the slow one.
    assert scene.members.calls(ONE, TWO, SPARE) == [10, 10, 0]
    assert [event.outcome for event in telemetry.of(HedgeEnded)] == ["won"] * 10
    assert scene.members[ONE].running == 0
    slow = member(pool, ONE)
    assert (slow.active, slow.parts.meter.failures, slow.parts.health.state) == (0, 0, "closed")
    await scene.aclose()


@virtual_time
async def test_where_one_member_is_all_it_goes_to_the_next_endpoint(telemetry: RecordingTelemetry) -> None:
    scene = Scene(telemetry=telemetry)
    scene.enforce(hedged(ONE))
    scene.members[ONE].steps = [HANG]
    scene.members[SPARE].steps = [answer(value=7.0)]

    response = await scene.ask()

    assert response.outputs == answer(value=7.0).outputs
    assert scene.members.calls(ONE, SPARE) == [1, 1]
    await scene.aclose()


@pytest.mark.parametrize("keep", ["region", "drained", "out"])
@virtual_time
async def test_nowhere_to_go(keep: str, telemetry: RecordingTelemetry) -> None:
    """The next endpoint lies outside the residency, is drained, or is out: the first attempt stays alone."""
    scene = Scene(telemetry=telemetry, failures=1)
    policy = hedged(ONE, retries=1)
    if keep == "region":
        policy = policy.replace('regions: ["*"]', "regions: [here]")
    pool = scene.enforce(policy)
    scene.members[ONE].steps = [0.1]
    if keep == "drained":
        scene.workshop.endpoints.drained.drain("spare")
    elif keep == "out":
        spare = scene.workshop.in_force.endpoints().by_name["spare"]
        scene.members[SPARE].steps = [silent()]
        with pytest.raises(GatewayError):
            await spare(request())
        assert spare.state == "open"
        scene.members[SPARE].requests.clear()

    await send(scene)

    assert scene.members.calls(ONE, SPARE) == [1, 0]
    assert [event.reason for event in telemetry.of(HedgeDenied)] == ["nowhere"]
    assert pool.is_available
    await scene.aclose()


@virtual_time
async def test_what_is_measured_outlives_a_policy(telemetry: RecordingTelemetry) -> None:
    """The route of a new generation hedges from its first slow request on."""
    scene = Scene(telemetry=telemetry)
    scene.enforce(hedged(ONE, TWO, hedge="{budget_percent: 100}"))
    await send(scene, 30)
    scene.enforce(hedged(ONE, TWO, hedge="{budget_percent: 100}", generation=2))
    scene.members[ONE].steps = [HANG]

    await send(scene, 2)

    assert [event.outcome for event in telemetry.of(HedgeEnded)] == ["won"] * 2
    await scene.aclose()


@virtual_time
async def test_a_member_that_hangs_is_found_out_although_nobody_waits_for_it() -> None:
    """Each of its requests is answered by the other in time; but that it answers none leads to a check."""
    scene, checks = Scene(), 0
    scene.members[ONE].steps = [HANG]
    look = scene.members[ONE].look

    async def counted():
        nonlocal checks
        checks += 1
        return await look()

    scene.members[ONE].check = counted
    pool = scene.enforce(hedged(ONE, TWO))
    await send(scene, 60)
    await asyncio.sleep(1)

    assert checks > 0
    assert member(pool, ONE).parts.health.state == "closed"
    await scene.aclose()


@virtual_time
async def test_the_tail_is_cut() -> None:
    """2 % of the requests take fifty times as long: the 99th percentile with and without, and the added load."""
    found = {}
    for name, hedge in (("without", ""), ("with", "{budget_percent: 5}")):
        scene, chance = Scene(), Random(3)
        policy = hedged(ONE, TWO, hedge=hedge)
        scene.enforce(policy if hedge else policy.replace("hedge: , ", ""))
        for address in (ONE, TWO):
            scene.members[address].steps = [
                0.5 if chance.random() < 0.02 else chance.uniform(0.008, 0.012) for _ in range(4000)
            ]
        took = []
        for _ in range(4000):
            began = asyncio.get_running_loop().time()
            await scene.ask()
            took.append(asyncio.get_running_loop().time() - began)
        found[name] = sorted(took)[int(0.99 * len(took))], sum(scene.members.calls(ONE, TWO, SPARE))
        await scene.aclose()

    assert found["without"] == (pytest.approx(0.5), 4000)
    p99, sent = found["with"]
    assert p99 < 0.03
    assert 4000 * 1.02 <= sent <= 4000 * 1.05


@virtual_time
async def test_the_layer_stands_between_retry_and_the_router() -> None:
    """And nowhere in a route without."""
    scene = Scene()
    scene.enforce(hedged(ONE))
    stack = scene.workshop.in_force.current().routes["all"]
    assert [layer.role for layer in stack.layers] == ["residency", "deadline", "retry", "hedge"]
    assert repr(stack.layers[3].filter) == "<Hedge after 10 ms, <HedgeBudget 100 %, 0 saved>>"

    scene.enforce(text(ONE, generation=2))
    stack = scene.workshop.in_force.current().routes["all"]
    assert [layer.role for layer in stack.layers] == ["residency", "deadline", "retry"]
    await scene.aclose()


@virtual_time
async def test_without_retries_hedges_have_their_share_of_the_requests(
    telemetry: RecordingTelemetry,
) -> None:
    """A fifth of those under way, and not the three that are the least: a race counts them without retries."""
    scene = Scene(telemetry=telemetry)
    scene.enforce(hedged(ONE, TWO, retries=0))
    for each in (ONE, TWO):
        scene.members[each].steps = [1.0]

    await asyncio.gather(*(scene.ask() for _ in range(50)))
    await send(scene, 0)

    assert len(telemetry.of(HedgeEnded)) == 10
    assert repr(scene.workshop.parts.budget) == "<RetryBudget 0 of 3 retries, 0 requests>"
    await scene.aclose()
