"""What a route says of its attempts, through the whole stack of a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, SEQUENCE_START
from gateway.core.telemetry import RetryScheduled
from tests.fakes.redis_server import free_port
from tests.fakes.service import HANG, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.upstreams import http, read_request, scripted_peer
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, text, three
from tests.gateway.app.workshop import Workshop
from tests.resilience.peers import status

ONE, TWO, THREE = ALL = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
START = 1000.0


def route_of(policy: str, more: str) -> str:
    """The policy, with more fields of its one route."""
    return policy.replace("num_retries:", f"{more}, num_retries:")


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_a_slow_member_costs_the_time_that_the_route_grants() -> None:
    """Not the 5 s of the gateway's settings: the next attempt is at another member."""
    scene = Scene(failures=1)
    pool = scene.enforce(route_of(three(), "per_try_timeout_ms: 200"))
    for address in (ONE, TWO):
        scene.members[address].steps = [HANG]

    assert await scene.ask() == answer()

    # Two waits for an attempt, and two before a retry.
    slow = scene.members.calls(ONE, TWO)
    assert START + 0.2 * sum(slow) <= now() < START + 0.2 * sum(slow) + 0.1
    # It counts: one is enough here to put a member out.
    assert [each.is_available for each in pool.members] == [*(not calls for calls in slow), True]
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize(
    ("route_ms", "endpoint_ms", "expected_s"), [(8000, None, 8.0), (8000, 300, 0.3), (300, 8000, 0.3)]
)
async def test_a_route_may_grant_more_than_the_settings_and_not_more_than_the_endpoint(
    route_ms: int, endpoint_ms: int | None, expected_s: float
) -> None:
    scene = Scene(failures=1000)
    more = f"attempt_timeout_ms: {endpoint_ms}" if endpoint_ms else ""
    scene.enforce(route_of(text(ONE, retries=0, more=more), f"per_try_timeout_ms: {route_ms}"))
    scene.members[ONE].steps = [HANG]

    with pytest.raises(GatewayError) as caught:
        await scene.ask()

    assert (caught.value.fault, caught.value.counts) == (Fault.DEADLINE, True)
    assert now() == START + expected_s
    await scene.aclose()


@virtual_time
async def test_the_wait_for_a_place_is_not_part_of_an_attempt() -> None:
    """Four that take 0.25 s each, one after the other, each within 0.3 s of its own."""
    scene = Scene(failures=1)
    pool = scene.enforce(route_of(text(ONE, retries=0, more="max_concurrency: 1"), "per_try_timeout_ms: 300"))
    scene.members[ONE].steps = [0.25]

    answers = await asyncio.gather(*(scene.ask() for _ in range(4)))

    assert len(answers) == 4
    assert now() == START + 1.0
    assert pool.members[0].is_available
    await scene.aclose()


@virtual_time
async def test_a_step_of_a_sequence_has_the_time_of_an_attempt_and_no_other_attempt() -> None:
    scene = Scene(failures=1000)
    scene.enforce(route_of(three(), "per_try_timeout_ms: 200, retry_on: [5xx]"))
    for address in ALL:
        scene.members[address].steps = [HANG]

    with pytest.raises(GatewayError) as caught:
        await scene.ask(parameters={SEQUENCE: 7, SEQUENCE_START: True})

    assert caught.value.fault is Fault.DEADLINE
    assert now() == START + 0.2
    assert sum(scene.members.calls(*ALL)) == 1
    await scene.aclose()


POLICY = """\
generation: 1
regions: {{here: {{}}}}
residency: {{anywhere: {{regions: ["*"]}}}}
tenants: {{anonymous: {{residency: anywhere}}}}
endpoints:
  central: {{tier: central, region: here, protocol: http, addresses: ['127.0.0.1:{one}', '127.0.0.1:{two}']}}
routes:
- {{name: all, endpoints: [central], num_retries: 1{more}}}
"""


@asynccontextmanager
async def two_that(fail: str) -> AsyncIterator[tuple[list[int], list[bytes]]]:
    """Two ports at which requests fail in the same way, and the requests that came."""
    seen: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await read_request(reader)
        if b"/infer" not in head:
            writer.write(http(404))
            return
        seen.append(head)
        if fail == "hang":
            await reader.read()
        elif fail != "reset":
            writer.write(http(int(fail), b'{"error": "no"}'))

    async with AsyncExitStack() as lifetimes:
        if fail == "refuse":
            yield [free_port(), free_port()], seen
            return
        peers = [await lifetimes.enter_async_context(scripted_peer(play)) for _ in range(2)]
        yield [peer.port for peer in peers], seen


@pytest.mark.parametrize(
    ("fail", "condition", "attempts"),
    [
        ("503", "gateway_error", 2),
        ("503", "unavailable", 2),
        ("503", "reset", 1),
        ("503", "connect_failure", 1),
        ("502", "5xx", 2),
        ("504", "deadline_exceeded", 2),
        ("504", "unavailable", 1),
        ("500", "gateway_error", 1),
        ("500", "internal", 2),
        ("500", "5xx", 2),
        ("429", "resource_exhausted", 2),
        ("429", "5xx", 1),
        ("400", "5xx", 1),
        ("refuse", "connect_failure", 2),
        ("refuse", "reset", 2),
        ("refuse", "internal", 1),
        ("reset", "reset", 2),
        ("reset", "connect_failure", 1),
        ("hang", "reset", 2),
        ("hang", "deadline_exceeded", 2),
        ("hang", "connect_failure", 1),
    ],
)
async def test_what_comes_over_a_wire_meets_the_conditions(fail: str, condition: str, attempts: int) -> None:
    """Real sockets: how many attempts are made, each at another member."""
    async with two_that(fail) as ((one, two), seen):
        telemetry = RecordingTelemetry()
        workshop = Workshop(telemetry=telemetry)
        limit = ", per_try_timeout_ms: 60" if fail == "hang" else ""
        workshop.enforce(POLICY.format(one=one, two=two, more=f"{limit}, retry_on: ['{condition}']"))

        with pytest.raises(GatewayError):
            await workshop.in_force.current()(request(deadline=now() + 30))

        assert len(telemetry.of(RetryScheduled)) == attempts - 1
        # One that hangs may have come to its limit before the request was read.
        assert fail in {"refuse", "hang"} or len(seen) == attempts
        await workshop.aclose()


@virtual_time
async def test_a_gateway_goes_by_what_a_route_inherits() -> None:
    """Times, conditions and number of attempts from the defaults; the endpoint's limit, too."""
    scene = Scene(failures=1000)
    inherited = (
        "defaults:\n"
        "  routes: {per_try_timeout_ms: 8000, retry_on: [reset], timeout_ms: 9000}\n"
        "  endpoints: {attempt_timeout_ms: 300}\n"
    )
    scene.enforce(inherited + three(retries=1))
    for address in ALL:
        scene.members[address].steps = [HANG]

    with pytest.raises(GatewayError):
        await scene.ask()

    assert sum(scene.members.calls(*ALL)) == 2
    assert START + 0.6 <= now() < START + 0.7
    for address in ALL:
        scene.members[address].steps = [status("503")]
    with pytest.raises(GatewayError):
        await scene.ask()
    assert sum(scene.members.calls(*ALL)) == 3
    await scene.aclose()


@virtual_time
async def test_a_change_of_the_defaults_is_a_change_of_who_inherits_them() -> None:
    """A reload: the member is built anew with its new limit, as if the endpoint itself had changed."""
    scene = Scene(failures=1000)
    scene.members[ONE].steps = [HANG]
    for generation, limit_ms in ((1, 400), (2, 100)):
        policy = text(ONE, retries=0, generation=generation)
        scene.enforce(f"defaults: {{endpoints: {{attempt_timeout_ms: {limit_ms}}}}}\n{policy}")
        began = now()
        with pytest.raises(GatewayError):
            await scene.ask()
        assert now() - began == pytest.approx(limit_ms / 1000)
    await scene.aclose()
