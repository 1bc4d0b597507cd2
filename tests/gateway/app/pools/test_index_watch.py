"""Members are asked which models they hold, and requests go where their model is."""

from __future__ import annotations

import asyncio

import pytest

from gateway.app.pools.index_watch import IN_A_ROUND, MOST_DIFFERENT, STALE_S
from gateway.core.catalog import IndexEntry
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import SEQUENCE, SEQUENCE_START
from gateway.wire.oip.passed_index import MAX_ENTRIES
from routing.holdings import Holdings
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Resolver, Scene, member, text
from tests.resilience.peers import silent

ONE, TWO, SPARE = "10.0.0.1:80", "10.0.0.2:80", "127.0.0.1:99"
ROUND_S = 11.5
"""The longest from one question to the next, answers included."""


def lines(scene: Scene, endpoint: str = "central") -> list[list[str] | None]:
    """What each member of an endpoint is known to hold."""
    pool = scene.workshop.in_force.endpoints().by_name[endpoint]
    return [None if each.holdings is None else each.holdings.lines() for each in pool.members]


async def found(scene: Scene, *addresses: str, number: int = 20, **changes: object) -> list[int]:
    """How many of ``number`` requests each of ``addresses`` has got."""
    before = scene.members.calls(*addresses)
    for _ in range(number):
        await scene.ask(**changes)
    return [after - had for after, had in zip(scene.members.calls(*addresses), before, strict=True)]


@virtual_time
async def test_an_endpoint_that_lacks_the_model_is_passed_over() -> None:
    """Until it is loaded there: that is known within seconds, without a request."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("other")
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(2)

    assert await found(scene, ONE, SPARE) == [0, 20]
    scene.members[ONE].hold("other", "digits")
    await asyncio.sleep(ROUND_S)
    assert await found(scene, ONE, SPARE) == [20, 0]
    assert lines(scene) == [["digits:1", "other:1"]]
    assert 0 < member(scene.workshop.in_force.endpoints().by_name["central"], ONE).held_since
    await scene.aclose()


@virtual_time
async def test_a_version_is_looked_for_as_a_model_is() -> None:
    """Where another version is, the request that names this one does not go; one that names none does."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("digits:1")
    scene.members[SPARE].hold("digits:2")
    await asyncio.sleep(2)

    assert await found(scene, ONE, SPARE, version="2") == [0, 20]
    assert await found(scene, ONE, SPARE, version="1") == [20, 0]
    assert await found(scene, ONE, SPARE) == [20, 0]
    await scene.aclose()


@virtual_time
async def test_where_nobody_holds_it_the_first_says_so() -> None:
    """Once: the client gets that endpoint's 404, and no other endpoint is asked."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("other")
    scene.members[SPARE].hold("another")
    await asyncio.sleep(2)

    with pytest.raises(GatewayError, match="Request for unknown model: 'digits' is not found") as caught:
        await scene.ask()

    assert (caught.value.fault, caught.value.retryable) == (Fault.NOT_FOUND, False)
    assert scene.members.calls(ONE, SPARE) == [1, 0]
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize("fault", [Fault.NOT_FOUND, Fault.UNSUPPORTED, Fault.INVALID])
async def test_who_has_no_index_may_hold_everything(fault: Fault) -> None:
    """Also when it had one before; and beside one that is known to lack the model."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("other")
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(2)
    assert await found(scene, ONE, SPARE) == [0, 20]

    scene.members[ONE].entries, scene.members[ONE].held = GatewayError(fault, "no index"), None
    await asyncio.sleep(ROUND_S)

    assert lines(scene) == [None]
    assert await found(scene, ONE, SPARE) == [20, 0]
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize(
    "failure",
    [silent(), None, GatewayError(Fault.OVERLOADED, "busy"), ValueError("a bug")],
    ids=["unavailable", "hangs", "busy", "bug"],
)
async def test_what_cannot_be_read_changes_nothing_for_an_hour(failure: Exception | None) -> None:
    """The last answer holds; nothing is known any more once that is too old."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("other")
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(2)
    scene.members[ONE].entries = failure

    await asyncio.sleep(STALE_S / 2)
    assert lines(scene) == [["other:1"]]
    assert await found(scene, ONE, SPARE) == [0, 20]
    await asyncio.sleep(STALE_S)

    assert lines(scene) == [None]
    await scene.aclose()


@virtual_time
async def test_one_that_hangs_keeps_nobody_from_being_known() -> None:
    """The member after it is asked all the same."""
    scene = Scene()
    scene.enforce(text(ONE, TWO))
    scene.members[ONE].entries = None
    scene.members[TWO].hold("digits")
    await asyncio.sleep(4)

    assert lines(scene) == [None, ["digits:1"]]
    await scene.aclose()


@virtual_time
async def test_an_index_without_an_end_says_nothing() -> None:
    """It is not read to its end, so nobody knows what stands there."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].entries = [IndexEntry(f"m{n}", "1", "READY") for n in range(MAX_ENTRIES)]
    await asyncio.sleep(2)

    assert lines(scene) == [None]
    assert await found(scene, ONE) == [20]
    await scene.aclose()


@virtual_time
async def test_each_is_asked_every_ten_seconds() -> None:
    """A tenth more or less; one that is out is not asked."""
    scene = Scene(failures=1)
    scene.enforce(text(ONE, TWO))
    await asyncio.sleep(1000)
    counts = [scene.members[address].indexed for address in (ONE, TWO, SPARE)]
    assert all(90 <= count <= 110 for count in counts)

    scene.members[TWO].steps = [silent()]
    for _ in range(40):
        await scene.ask()
    before = scene.members[TWO].indexed
    await asyncio.sleep(100)

    assert scene.members[TWO].indexed == before
    assert scene.members[ONE].indexed > counts[0]
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        (text(ONE).replace("[central, spare]", "[central]"), [0, 0]),
        (text(ONE, TWO).replace("[central, spare]", "[central]"), [1, 0]),
        (text(ONE, more="models: [digits]"), [0, 1]),
        (text(ONE).replace("tier: central, region: there", "tier: edge, region: there"), [1, 0]),
        (text(ONE).replace("[central, spare]", "[spare]"), [0, 0]),
    ],
    ids=["alone", "two members", "listed", "another gateway", "another alone"],
)
async def test_nobody_is_asked_where_it_changes_nothing(policy: str, asked: list[int]) -> None:
    """Nor who has a list, and no other gateway, which would ask its own endpoints."""
    scene = Scene()
    scene.enforce(policy)
    await asyncio.sleep(5)

    assert [scene.members[address].indexed for address in (ONE, SPARE)] == asked
    await scene.aclose()


@virtual_time
async def test_a_route_that_comes_later_makes_it_matter() -> None:
    """Pools outlive policies; whether they are asked is as the one in force has it."""
    scene = Scene()
    alone = text(ONE).replace("[central, spare]", "[central]")
    scene.enforce(alone)
    await asyncio.sleep(20)
    assert scene.members[ONE].indexed == 0

    scene.enforce(text(ONE, generation=2))
    await asyncio.sleep(20)
    before = scene.members[ONE].indexed
    scene.enforce(alone.replace("generation: 1", "generation: 3"))
    await asyncio.sleep(100)

    assert before in {2, 3}
    assert scene.members[ONE].indexed - before <= 1
    await scene.aclose()


@virtual_time
async def test_of_a_large_pool_some_are_asked_in_each_round() -> None:
    """All have their turn, and no second has more than a few questions."""
    scene = Scene()
    addresses = [f"10.0.1.{number}:80" for number in range(1, 41)]
    scene.enforce(text(*addresses))
    await asyncio.sleep(5)
    assert sum(scene.members[address].indexed for address in addresses) == IN_A_ROUND

    await asyncio.sleep(195)
    counts = [scene.members[address].indexed for address in addresses]

    assert min(counts) >= 6
    assert max(counts) - min(counts) <= 1
    await scene.aclose()


@virtual_time
async def test_members_that_hold_the_same_share_it_and_liars_have_a_bound() -> None:
    """Answers may be large: of many different ones the last are not kept, and their members may hold all."""
    scene = Scene()
    addresses = [f"10.0.1.{number}:80" for number in range(1, 33)]
    pool = scene.enforce(text(*addresses))
    for number, address in enumerate(addresses):
        scene.members[address].hold(*(["same"] if number < 8 else [f"own-{number}"]))
    await asyncio.sleep(40)

    known = [each.holdings for each in pool.members]
    assert len({id(each) for each in known[:8]}) == 1
    assert known[0] == Holdings.listed(["same:1"])
    assert len({id(each) for each in known if each is not None}) == MOST_DIFFERENT
    assert None in known
    await scene.aclose()


@virtual_time
async def test_a_404_from_one_that_lists_the_model_is_known_at_once() -> None:
    """The same request is answered by the next endpoint; those after it do not even try."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("digits", "other")
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(2)
    scene.members[ONE].hold("other")

    assert await found(scene, ONE, SPARE) == [1, 20]
    assert lines(scene) == [["other:1"]]
    await scene.aclose()


@virtual_time
async def test_a_404_is_believed_until_the_index_is_read_again() -> None:
    """Which is soon, and not at its next turn: a passing mistake costs the endpoint a second."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("digits")
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(2)
    held, scene.members[ONE].held = scene.members[ONE].held, set()
    assert await found(scene, ONE, SPARE, number=1) == [1, 1]

    scene.members[ONE].held = held
    await asyncio.sleep(1.5)

    assert await found(scene, ONE, SPARE) == [20, 0]
    await scene.aclose()


@virtual_time
async def test_an_index_that_lies_is_asked_again_soon_and_not_more_often_than_that() -> None:
    """One request a second finds out; all of them are answered."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("digits")
    scene.members[ONE].held = set()
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(2)
    before = scene.members[ONE].indexed
    for _ in range(1000):
        await scene.ask()
        await asyncio.sleep(0.01)

    assert scene.members.calls(SPARE) == [1000]
    assert scene.members[ONE].indexed - before <= 14
    assert scene.members.calls(ONE)[0] <= 14
    await scene.aclose()


@virtual_time
async def test_a_404_for_what_it_never_listed_changes_nothing() -> None:
    """Strangers may ask for anything; neither does the missing sequence of a step say something of models."""
    scene = Scene()
    pool = scene.enforce(text(ONE))
    scene.members[ONE].hold("digits")
    scene.members[SPARE].hold("other")
    await asyncio.sleep(2)
    for changes in ({"model": "made-up"}, {"version": "17"}):
        with pytest.raises(GatewayError, match="unknown model"):
            await scene.ask(**changes)
    scene.members[ONE].held = set()
    with pytest.raises(GatewayError, match="unknown model") as caught:
        await scene.ask(parameters={SEQUENCE: 7, SEQUENCE_START: True})

    assert not caught.value.retryable
    assert lines(scene) == [["digits:1"]]
    assert "1 members known, on" in repr(pool.index_watch)
    await scene.aclose()


@virtual_time
async def test_what_is_known_outlives_a_reload() -> None:
    """Its member does; and a list of the new policy goes before it."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members[ONE].hold("other")
    await asyncio.sleep(2)

    scene.enforce(text(ONE, generation=2, more="labels: {a: b}"))
    assert lines(scene) == [["other:1"]]
    assert await found(scene, ONE, SPARE) == [0, 20]
    scene.members[ONE].held = None
    scene.enforce(text(ONE, generation=3, more="models: ['dig*']"))

    assert await found(scene, ONE, SPARE) == [20, 0]
    await scene.aclose()


@virtual_time
async def test_a_member_that_holds_it_is_picked_before_others() -> None:
    """Of one pool; the others only when none of the usable members holds it, and no other endpoint."""
    scene = Scene()
    scene.enforce(text(ONE, TWO))
    scene.members[ONE].hold("digits", "other")
    scene.members[TWO].hold("other")
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(3)

    assert await found(scene, ONE, TWO, SPARE) == [20, 0, 0]
    spread = await found(scene, ONE, TWO, SPARE, number=50, model="other")
    assert all(spread[:2])

    scene.workshop.endpoints.drained.drain(f"central/{ONE}")
    assert await found(scene, ONE, TWO, SPARE) == [0, 0, 20]
    scene.workshop.endpoints.drained.drain("spare")
    with pytest.raises(GatewayError, match=r"'spare': it is drained") as caught:
        await scene.ask()
    assert caught.value.fault is Fault.UNAVAILABLE
    await scene.aclose()


@virtual_time
async def test_a_retry_goes_where_the_model_is() -> None:
    """The member that failed was the only one there that holds it: the next endpoint is tried, not its neighbour."""
    scene = Scene(failures=1000)
    scene.enforce(text(ONE, TWO, retries=1))
    scene.members[ONE].hold("digits", "other")
    scene.members[TWO].hold("other")
    scene.members[SPARE].hold("digits")
    await asyncio.sleep(3)
    scene.members[ONE].steps = [silent()]

    assert await found(scene, ONE, TWO, SPARE, number=1) == [1, 0, 1]
    await scene.aclose()


@virtual_time
async def test_closing_ends_the_questions() -> None:
    """Also before the first."""
    scene = Scene()
    pool = scene.enforce(text(ONE))
    await scene.aclose()
    await asyncio.sleep(50)

    assert scene.members[ONE].indexed == 0
    assert "members known, off" in repr(pool.index_watch)
    await pool.index_watch.aclose()


@virtual_time
async def test_a_pool_that_is_replaced_asks_no_more() -> None:
    """Its members have one who asks them, however often the policy changes."""
    scene = Scene()
    for generation in range(1, 6):
        scene.enforce(text(ONE, generation=generation, more=f"labels: {{a: '{generation}'}}"))
        await asyncio.sleep(20)
    before = scene.members[ONE].indexed
    await asyncio.sleep(100)

    assert 9 <= scene.members[ONE].indexed - before <= 12
    await scene.aclose()


@virtual_time
async def test_a_member_that_appears_may_hold_everything_at_once() -> None:
    """What was found for its pool before holds no longer."""
    resolver = Resolver(**{"central.test": ["10.0.0.1"]})
    scene = Scene(resolver)
    pool = scene.enforce(text("central.test:80"))
    scene.members[ONE].hold("other")
    scene.members[SPARE].hold("other")
    await asyncio.sleep(4)
    endpoints = scene.workshop.in_force.endpoints()
    assert endpoints.lacking("digits", "") == {"central", "spare"}

    resolver.answers["central.test"] = ["10.0.0.1", "10.0.0.2"]
    scene.members[TWO].entries = None
    while len(pool.members) < 2:
        await asyncio.sleep(0.01)

    assert endpoints.lacking("digits", "") == {"spare"}
    await scene.aclose()
