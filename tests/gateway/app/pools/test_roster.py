"""Who the members are: they appear and go with their names, and stay what they are through reloads."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from gateway.app.pools.listing import Name
from gateway.app.pools.pool import EndpointPool
from gateway.core.verdict import Verdict
from tests.fakes.service import HANG, answer
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Resolver, Scene, names, text, three
from tests.resilience.peers import UNREADY, silent, status

ONE, TWO, THREE, FOUR = (f"10.0.0.{number}:80" for number in (1, 2, 3, 4))


@virtual_time
@pytest.mark.parametrize(
    "more", ["labels: {a: b}", "load_balancing: {choice_count: 3}", "capacity_rps: 100", "drain: true"]
)
async def test_a_reload_keeps_members_that_are_connected_to_as_before(more: str) -> None:
    """Whatever else changes: the same members, and nothing is closed."""
    scene = Scene()
    before = scene.enforce(three())

    after = scene.enforce(three(generation=2, more=more))

    assert after is not before
    assert after.members == before.members
    assert scene.workshop.endpoints.num_retiring == 0
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize("more", ["max_concurrency: 3", "attempt_timeout_ms: 70", "headers: {x-a: b}"])
async def test_another_connection_is_another_member(more: str) -> None:
    """What connections and limits are made of: new members, and the old ones close once nothing can hold them."""
    scene = Scene()
    before = scene.enforce(three())

    after = scene.enforce(three(generation=2, more=more))

    assert not set(map(id, after.members)) & set(map(id, before.members))
    assert scene.workshop.endpoints.num_retiring == 3
    await asyncio.sleep(3600)
    assert sorted(scene.members.closed) == [ONE, TWO, THREE]
    await scene.aclose()


@virtual_time
async def test_a_list_that_changes_keeps_those_that_stay() -> None:
    """One goes, one comes, two stay warm, one of them with another weight."""
    scene = Scene()
    before = scene.enforce(three())

    after = scene.enforce(text(ONE, f"{{address: '{TWO}', weight: 7, zone: b}}", FOUR, generation=2))

    assert names(after) == [ONE, TWO, FOUR]
    assert after.members[:2] == before.members[:2]
    assert [each.weight for each in after.members] == [1, 7, 1]
    assert [each.zone for each in after.members] == ["", "b", ""]
    await asyncio.sleep(3600)
    assert scene.members.closed == [THREE]
    await scene.aclose()


@virtual_time
async def test_a_policy_that_is_discarded_changes_no_weight_and_closes_what_it_opened() -> None:
    """Nothing of it is in force."""
    scene = Scene()
    pool = scene.enforce(three())
    prepared = scene.workshop.build(text(f"{{address: '{ONE}', weight: 9}}", FOUR, generation=2))

    scene.workshop.endpoints.discard(prepared.endpoints)
    await asyncio.sleep(1)

    assert [each.weight for each in pool.members] == [1, 1, 1]
    assert scene.members.closed == [FOUR]
    await scene.aclose()


@virtual_time
async def test_members_come_and_go_with_their_name() -> None:
    """What the name leads to no longer gets nothing new, is not cut, and closes when it is idle."""
    resolver = Resolver(**{"central.test": ["10.0.0.1", "10.0.0.2"]})
    scene = Scene(resolver)
    pool = scene.enforce(text("central.test:80", more="attempt_timeout_ms: 9000"))
    for address in (ONE, TWO):
        scene.members[address].steps = [HANG]
    asking = [asyncio.create_task(scene.ask()) for _ in range(8)]
    await asyncio.sleep(0.1)
    assert scene.members[TWO].running == 4

    resolver.answers["central.test"] = ["10.0.0.1", "10.0.0.3"]
    await asyncio.sleep(6)
    assert names(pool) == ["central.test:80/10.0.0.1", "central.test:80/10.0.0.3"]
    assert scene.members.closed == []
    for address in (ONE, TWO):
        scene.members[address].release()
    await asyncio.gather(*asking)
    await asyncio.sleep(1)

    assert scene.members.closed == [TWO]
    for _ in range(20):
        await scene.ask()
    assert scene.members.calls(TWO) == [4]
    assert scene.members.calls(THREE)[0] > 0
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize("answer", [OSError("resolver down"), []])
async def test_what_was_found_last_holds_while_nothing_is_found(answer) -> None:
    """A resolver that fails, or has an empty answer, takes no member away."""
    resolver = Resolver(**{"central.test": ["10.0.0.1", "10.0.0.2"]})
    scene = Scene(resolver)
    pool = scene.enforce(text("central.test:80"))
    await asyncio.sleep(1)
    before = pool.members

    resolver.answers["central.test"] = answer
    await asyncio.sleep(60)

    assert resolver.asked > 5
    assert pool.members is before
    assert pool.report()["problem"]
    assert pool.is_available
    await scene.aclose()


@virtual_time
async def test_a_reload_keeps_what_names_lead_to() -> None:
    """No request waits for a look-up because a label changed."""
    resolver = Resolver(**{"central.test": ["10.0.0.1"]})
    scene = Scene(resolver)
    before = scene.enforce(text("central.test:80"))
    await asyncio.sleep(1)
    resolver.answers["central.test"] = OSError("down")

    after = scene.enforce(text("central.test:80", generation=2, more="labels: {a: b}"))

    assert after.members == before.members
    assert len(after.members) == 1
    asked = resolver.asked
    await asyncio.sleep(20)
    assert 3 <= resolver.asked - asked <= 6, "one of the two pools looks up"
    await scene.aclose()


@virtual_time
async def test_a_member_that_fails_has_its_name_looked_up_soon() -> None:
    """Long before the next look-up is due: the name may lead elsewhere by now."""

    resolver = Resolver(**{"central.test": ["10.0.0.1"]})
    scene = Scene(resolver, failures=1)
    pool = scene.enforce(text("central.test:80"))
    await scene.ask()
    await asyncio.sleep(1.5)
    resolver.answers["central.test"] = ["10.0.0.2"]
    scene.members[ONE].steps = [silent()]

    await scene.ask()
    await asyncio.sleep(0.2)

    assert names(pool) == ["central.test:80/10.0.0.2"]
    await scene.aclose()


@virtual_time
async def test_members_that_serve_are_checked_where_the_policy_says_so() -> None:
    """One whose checks fail is out before a request has failed there."""
    scene = Scene()
    check = "health_check: {interval_s: 1, unhealthy_threshold: 2, initial_jitter_s: 0}"
    pool = scene.enforce(three(more=check))
    scene.members[ONE].check = unready
    pool = scene.enforce(three(generation=2, more=f"{check}, max_concurrency: 9"))

    await asyncio.sleep(4)

    assert [each.parts.health.state == "open" for each in pool.members] == [True, False, False]
    await scene.aclose()


async def unready() -> Verdict:
    return Verdict(UNREADY)


@virtual_time
async def test_a_member_that_fails_much_more_than_the_others_is_put_out() -> None:
    """Half of its requests fail, never so many in a row: the others are compared with it."""
    scene = Scene(failures=1000)
    detection = "{interval_s: 2, failure_percentage_threshold: 40, failure_percentage_request_volume: 10}"
    pool = scene.enforce(three(more=f"outlier_detection: {detection}"))
    scene.members[ONE].steps = [status("502"), answer()] * 500

    for _ in range(10):
        for _ in range(20):
            await scene.ask()
        await asyncio.sleep(0.5)

    assert [each.parts.health.state == "open" for each in pool.members] == [True, False, False]
    await scene.aclose()


class Telling(Resolver):
    """Tells when it has answered."""

    def __init__(self, **answers: Sequence[str] | OSError) -> None:
        super().__init__(**answers)
        self.answered = asyncio.Event()

    async def __call__(self, name: Name) -> Sequence[str]:
        try:
            return await super().__call__(name)
        finally:
            self.answered.set()


@virtual_time
async def test_a_thousand_addresses_come_and_go_a_few_at_a_time() -> None:
    """The loop is not held meanwhile, and those of before serve until the new ones are there."""
    old, new = ([f"10.{net}.{i // 250}.{i % 250}" for i in range(1000)] for net in (1, 2))
    resolver = Telling(**{"a.test": old})
    scene = Scene(resolver)
    pool = scene.enforce(text("a.test:80"))

    counts = await _counts_while_it_changes(pool, "10.1.", 1000)
    assert max(later - earlier for earlier, later in pairwise(counts)) <= 64
    assert all(each.warmth == 1 for each in pool.members)

    resolver.answers["a.test"] = new
    pool.roster.resolution.hurry()
    resolver.answered.clear()
    await resolver.answered.wait()
    counts = await _counts_while_it_changes(pool, "10.2.", 1000)
    assert max(later - earlier for earlier, later in pairwise(counts)) <= 64
    await asyncio.sleep(5)
    assert len(pool.members) == 1000
    assert all(each.warmth < 1 for each in pool.members)
    assert len(scene.members.closed) == 1000
    await scene.aclose()


async def _counts_while_it_changes(pool: EndpointPool, prefix: str, wanted: int) -> list[int]:
    """How many members begin with ``prefix``, at each turn of the loop until there are ``wanted``."""
    counts = [0]
    while counts[-1] < wanted:
        await asyncio.sleep(0)
        assert pool.is_available
        counts.append(sum(f"/{prefix}" in each.name for each in pool.members))
    return counts
