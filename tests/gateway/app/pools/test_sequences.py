"""Which member has the state of which sequence."""

from __future__ import annotations

from gateway.app.pools.sequences import SequenceMembers
from routing.placements import Placements
from tests.fakes.service import request
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, three


def step(number: int, **more: bool):
    return request(parameters={"sequence_id": number, **more})


@virtual_time
async def test_every_gateway_finds_the_same_member_for_a_sequence() -> None:
    """Two that know nothing of each other, for sequences of which neither has sent a step."""
    scene = Scene()
    members = scene.enforce(three()).members
    gateways = [SequenceMembers("central", Placements()) for _ in range(2)]

    found = [[each.member(step(number), members)[0] for number in range(60)] for each in gateways]

    assert found[0] == found[1]
    assert len(set(map(id, found[0]))) == 3
    await scene.aclose()


@virtual_time
async def test_a_member_that_goes_moves_no_sequence_but_its_own() -> None:
    """Sequences of the others stay where they are, in a gateway that knows nothing of them as well."""
    scene = Scene()
    members = scene.enforce(three()).members
    before = {n: SequenceMembers("central", Placements()).member(step(n), members)[0] for n in range(60)}

    after = {n: SequenceMembers("central", Placements()).member(step(n), members[1:])[0] for n in range(60)}

    assert {n for n in before if after[n] is not before[n]} == {n for n in before if before[n] is members[0]}
    await scene.aclose()


@virtual_time
async def test_what_one_endpoint_holds_another_does_not() -> None:
    """Placements are shared by all endpoints, and each has its own part of them; an end forgets."""
    scene = Scene()
    members = scene.enforce(three()).members
    placements = Placements()
    one, other = SequenceMembers("one", placements), SequenceMembers("other", placements)

    held, _ = one.member(step(1, sequence_start=True), members)
    assert held is not None
    elsewhere = tuple(each for each in members if each is not held)
    assert one.member(step(1), elsewhere) == (None, True)
    assert other.member(step(1), elsewhere)[0] is not None
    one.member(step(1, sequence_end=True), members)
    assert one.member(step(1), elsewhere)[0] in elsewhere
    assert repr(one) == "<SequenceMembers <Placements 2>>"
    await scene.aclose()


@virtual_time
async def test_without_members_there_is_none_and_nothing_is_lost() -> None:
    """A pool whose name leads nowhere."""
    assert SequenceMembers("central", Placements()).member(step(1), ()) == (None, False)
