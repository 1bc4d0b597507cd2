"""Most members are out, and the policy has a panic threshold: all of them are used."""

from __future__ import annotations

import pytest

from gateway.app.pools.pool import EndpointPool
from gateway.core.errors import GatewayError, Why
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, member, three
from tests.resilience.peers import status

ONE, TWO, THREE = ALL = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
SPARE = "127.0.0.1:99"


def policy(threshold: int | None = 50, *, spare: bool = False) -> str:
    """Three members; alone, or before another endpoint that can carry everything."""
    text = three()
    assert "endpoints: [central, spare]" in text
    if not spare:
        text = text.replace("endpoints: [central, spare]", "endpoints: [central]")
    return text if threshold is None else f"{text}locality: {{healthy_panic_threshold: {threshold}}}\n"


def put_out(pool: EndpointPool, *addresses: str) -> None:
    """Have these members found to be outliers, though they answer."""
    for address in addresses:
        member(pool, address).parts.health.eject(Why("outlier"), 60)


async def ask(scene: Scene, count: int) -> int:
    """Return how many of so many requests were answered."""
    answered = 0
    for _ in range(count):
        try:
            await scene.ask()
        except GatewayError:
            continue
        answered += 1
    return answered


@virtual_time
async def test_all_members_get_requests_while_most_are_out() -> None:
    """A member that is out answers after all: nobody waits for its health check."""
    scene = Scene()
    pool = scene.enforce(policy())
    put_out(pool, ONE, TWO)
    assert pool.strength == (1, 3)

    assert await ask(scene, 30) == 30

    assert all(calls > 3 for calls in scene.members.calls(*ALL))
    # What answers in a panic is no evidence: that it is well again, its health check says.
    assert pool.strength == (1, 3)
    await scene.aclose()


@virtual_time
async def test_all_of_them_are_out() -> None:
    """Then they are asked as well."""
    scene = Scene()
    pool = scene.enforce(policy())
    put_out(pool, *ALL)
    assert pool.strength == (0, 3)

    assert await ask(scene, 30) == 30
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize(("threshold", "spare"), [(None, False), (0, False), (20, False), (50, True)])
async def test_there_is_no_panic(threshold: int | None, spare: bool) -> None:
    """Without a threshold, above it, and where another endpoint carries what is left."""
    scene = Scene()
    pool = scene.enforce(policy(threshold, spare=spare))
    put_out(pool, ONE, TWO)

    assert await ask(scene, 30) == 30

    assert scene.members.calls(ONE, TWO) == [0, 0]
    await scene.aclose()


@virtual_time
async def test_who_is_drained_gets_nothing() -> None:
    """Neither a member, nor an endpoint."""
    scene = Scene()
    pool = scene.enforce(policy())
    put_out(pool, *ALL)
    scene.workshop.endpoints.drained.drain(member(pool, TWO).label)

    assert await ask(scene, 30) == 30
    assert scene.members.calls(TWO) == [0]

    scene.workshop.endpoints.drained.drain("central")
    before = scene.members.calls(*ALL)
    assert await ask(scene, 5) == 0
    assert scene.members.calls(*ALL) == before
    await scene.aclose()


@virtual_time
async def test_a_retry_meets_another_member() -> None:
    """Of two that are out and one that is well, none is asked twice by one request before all are."""
    scene = Scene()
    pool = scene.enforce(policy())
    put_out(pool, ONE, TWO)

    for address in (ONE, TWO):
        scene.members[address].steps = [status("503")]

    assert await ask(scene, 20) == 20

    assert scene.members.calls(THREE) == [20]
    assert all(0 < calls <= 20 for calls in scene.members.calls(ONE, TWO))
    await scene.aclose()
