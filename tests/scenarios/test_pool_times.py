"""An endpoint of three members in virtual time: one slow, one flapping, a storm of 503, recovery, another name."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from gateway.core.errors import GatewayError
from tests.fakes.service import HANG
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Resolver, Scene, member, text, three
from tests.resilience.peers import silent, status

ONE, TWO, THREE = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"
ALL = (ONE, TWO, THREE)
SPARE = "127.0.0.1:99"
RATE = 200


class Crowd:
    """Requests at a fixed rate, whether or not the ones before have been answered; ``failed`` are errors."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.failed, self._asking = scene, 0, set[asyncio.Task[None]]()
        self._chance = Random(4)

    async def ask(self, seconds: float) -> list[int]:
        """Send for so long; return how many requests each member got of these."""
        before = self.scene.members.calls(*ALL)
        for _ in range(int(seconds * RATE)):
            task = asyncio.create_task(self._one())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            await asyncio.sleep(self._chance.expovariate(RATE))
        return [after - each for after, each in zip(self.scene.members.calls(*ALL), before, strict=True)]

    async def leave(self) -> None:
        await asyncio.gather(*self._asking)

    async def _one(self) -> None:
        try:
            await self.scene.ask()
        except GatewayError:
            self.failed += 1


def scene_of(latency_s: float = 0.010, failures: int = 5, **changes: str) -> tuple[Scene, Crowd]:
    scene = Scene(failures=failures)
    scene.enforce(three(**changes))
    for address in (*ALL, SPARE):
        scene.members[address].steps = [latency_s]
    return scene, Crowd(scene)


@virtual_time
@pytest.mark.parametrize("slow_s", [0.100, 0.400, 3.0])
async def test_the_slow_one_of_three_gets_no_more_than_5_percent_within_3_s(slow_s: float) -> None:
    """Ten times slower, or much more: the others take its part, and nobody is refused."""
    scene, crowd = scene_of()
    assert min(await crowd.ask(5)) > 250

    scene.members[ONE].steps = [slow_s]
    await crowd.ask(3)
    counts = await crowd.ask(10)

    assert counts[0] <= 0.05 * sum(counts)
    assert min(counts[1:]) > 0.3 * sum(counts)
    await crowd.leave()
    assert crowd.failed == 0
    assert scene.members.calls(SPARE) == [0]
    await scene.aclose()


@virtual_time
async def test_the_random_member_would_get_its_third() -> None:
    """What the choice by cost is worth: without it the slow one keeps its share."""
    scene, crowd = scene_of(more="load_balancing: {policy: random}")
    scene.members[ONE].steps = [0.100]

    counts = await crowd.ask(5)

    assert counts[0] > 0.25 * sum(counts)
    await crowd.leave()
    await scene.aclose()


@virtual_time
async def test_a_member_that_goes_silent_holds_few_requests() -> None:
    """One-way loss: it takes requests and never answers. Those under way are retried, and few are ever there."""
    scene, crowd = scene_of(more="attempt_timeout_ms: 1000")
    await crowd.ask(3)
    scene.members[ONE].steps = [HANG]
    before = scene.members.calls(ONE)[0]

    await crowd.ask(2)
    within_2_s = scene.members.calls(ONE)[0] - before
    counts = await crowd.ask(10)

    assert within_2_s <= 0.05 * 2 * RATE
    assert counts[0] <= 0.05 * sum(counts)
    await crowd.leave()
    assert crowd.failed == 0
    await scene.aclose()


@virtual_time
async def test_a_storm_of_503s_attracts_nobody() -> None:
    """Fast refusals look fast to whoever measures them: here they are none, and callers see none."""
    scene, crowd = scene_of(failures=1000)
    await crowd.ask(3)
    scene.members[ONE].steps = [status("503")]
    await crowd.ask(3)

    counts = await crowd.ask(10)

    assert counts[0] <= 0.01 * sum(counts)
    await crowd.leave()
    assert crowd.failed == 0
    await scene.aclose()


@virtual_time
async def test_a_member_that_flaps_each_second_loses_nothing() -> None:
    """Half of the time it refuses connections: its requests are answered by the others."""
    scene, crowd = scene_of()
    for _ in range(10):
        scene.members[ONE].steps = [silent()]
        await crowd.ask(0.5)
        scene.members[ONE].steps = [0.010]
        await crowd.ask(0.5)

    await crowd.leave()
    assert crowd.failed == 0
    assert scene.members.calls(SPARE) == [0]
    await scene.aclose()


@virtual_time
async def test_who_is_back_gets_its_share_little_by_little() -> None:
    """Out, back, and slow start: well below its share in the first seconds, all of it after the window."""
    scene, crowd = scene_of(failures=2, more="load_balancing: {slow_start_window_s: 20}")
    pool = scene.workshop.in_force.endpoints().by_name["central"]
    await crowd.ask(2)
    scene.members[ONE].steps = [status("502")]
    await crowd.ask(2)
    assert member(pool, ONE).parts.health.state == "open"
    scene.members[ONE].steps = [0.010]
    while member(pool, ONE).parts.health.state != "closed":
        await crowd.ask(0.1)

    first = await crowd.ask(3)
    await crowd.ask(20)
    last = await crowd.ask(10)

    assert first[0] < 0.2 * sum(first)
    assert 0.25 < last[0] / sum(last) < 0.42
    await crowd.leave()
    assert crowd.failed == 0
    await scene.aclose()


@virtual_time
async def test_all_members_down_and_the_spare_takes_over_until_they_are_back() -> None:
    """The endpoint as a whole is out: the next one of the plan serves, and nobody is refused for long."""
    scene, crowd = scene_of(failures=3)
    await crowd.ask(2)
    for address in ALL:
        scene.members[address].steps = [silent()]
    await crowd.ask(2)
    lost = crowd.failed
    spare = scene.members.calls(SPARE)[0]
    await crowd.ask(5)
    assert crowd.failed == lost
    assert scene.members.calls(SPARE)[0] - spare == 5 * RATE

    for address in ALL:
        scene.members[address].steps = [0.010]
    await asyncio.sleep(20)
    counts = await crowd.ask(5)

    assert sum(counts) == 5 * RATE
    await crowd.leave()
    await scene.aclose()


@virtual_time
async def test_a_region_that_is_lost_is_left_within_2_s() -> None:
    """All members refuse at one moment: soon nothing is sent to them, and the other region answers everything.

    Until they are out some requests may fail: retries have a budget, which a whole region spends.
    """
    scene, crowd = scene_of()
    await crowd.ask(2)
    for address in ALL:
        scene.members[address].steps = [silent()]

    await crowd.ask(2)
    lost = crowd.failed
    later = await crowd.ask(5)

    await crowd.leave()
    assert lost < 5 * len(ALL)
    assert crowd.failed == lost
    assert later == [0, 0, 0]
    await scene.aclose()


@virtual_time
async def test_a_name_that_leads_elsewhere_loses_nothing() -> None:
    """The old members get nothing new after one interval of look-ups, and what they have under way ends."""
    resolver = Resolver(**{"central.test": ["10.0.0.1", "10.0.0.2"]})
    scene = Scene(resolver)
    scene.enforce(text("central.test:80"))
    for address in ALL:
        scene.members[address].steps = [0.1]
    crowd = Crowd(scene)
    await crowd.ask(2)

    resolver.answers["central.test"] = ["10.0.0.3"]
    await crowd.ask(5.5)
    counts = await crowd.ask(2)

    assert counts[:2] == [0, 0]
    assert counts[2] == 2 * RATE
    await crowd.leave()
    assert crowd.failed == 0
    await asyncio.sleep(1)
    assert sorted(scene.members.closed) == [ONE, TWO]
    await scene.aclose()
