"""An endpoint as a pool: each request meets one member, and another one when that has failed."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.telemetry import BreakerAppeared, BreakerChanged, BreakerGone
from tests.fakes.service import HANG, answer, request
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Resolver, Scene, member, names, text, three
from tests.resilience.peers import error_500, silent, status

ONE, TWO, THREE = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"
ALL = (ONE, TWO, THREE)


@virtual_time
async def test_requests_are_spread_over_all_members() -> None:
    """Each of the three gets about a third, and no other endpoint gets any."""
    scene = Scene()
    pool = scene.enforce(three())

    for _ in range(300):
        await scene.ask()

    assert names(pool) == list(ALL)
    assert all(60 < calls < 140 for calls in scene.members.calls(*ALL))
    assert scene.members.calls("127.0.0.1:99") == [0]
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize("failure", [silent(), status("503"), status("502")])
async def test_a_retry_goes_to_another_member_before_another_endpoint(failure: GatewayError) -> None:
    """Two of three fail: the third answers, whichever is chosen first, and nothing leaves for the spare."""
    scene = Scene(failures=1000)
    scene.enforce(three())
    for address in (ONE, TWO):
        scene.members[address].steps = [failure]

    for _ in range(50):
        await scene.ask()

    failed = scene.members.calls(ONE, TWO)
    assert scene.members.calls(THREE) == [50]
    assert all(0 < calls <= 50 for calls in failed)
    assert scene.members.calls("127.0.0.1:99") == [0]
    await scene.aclose()


@virtual_time
async def test_when_all_members_have_failed_the_next_endpoint_answers() -> None:
    """Every member is tried once, then the spare."""
    scene = Scene(failures=1000)
    scene.enforce(three())
    for address in ALL:
        scene.members[address].steps = [silent()]

    await scene.ask()

    assert scene.members.calls(*ALL, "127.0.0.1:99") == [1, 1, 1, 1]
    await scene.aclose()


@virtual_time
async def test_a_retry_of_one_that_has_no_other_goes_there_again() -> None:
    """A pool of one member and no other endpoint: the second attempt is made all the same."""
    scene = Scene(failures=1000)
    scene.enforce(text(ONE).replace("[central, spare]", "[central]"))
    scene.members[ONE].steps = [silent(), answer()]

    await scene.ask()

    assert scene.members.calls(ONE) == [2]
    await scene.aclose()


@virtual_time
async def test_a_member_that_is_out_gets_nothing_until_it_is_back() -> None:
    """Two failures put it out; its health check lets it in, and its share comes back."""
    scene = Scene(failures=2)
    pool = scene.enforce(three(more="load_balancing: {slow_start_window_s: 0}"))
    scene.members[ONE].steps = [status("502")]
    for _ in range(60):
        await scene.ask()

    assert member(pool, ONE).parts.health.state == "open"
    assert scene.members.calls(ONE) == [2], "what its breaker needs, and no more"
    assert scene.members.calls("127.0.0.1:99")[0] < 12, "two of three carry 93 % (overprovisioning 1.4)"
    scene.members[ONE].steps = [answer()]
    await asyncio.sleep(5)
    for _ in range(60):
        await scene.ask()

    assert member(pool, ONE).parts.health.state == "closed"
    assert scene.members.calls(ONE)[0] > 6
    await scene.aclose()


@virtual_time
async def test_a_member_that_is_not_there_costs_one_request_in_five_seconds() -> None:
    """What a refused connection costs is one attempt, long before its breaker opens; nobody sees it."""
    scene = Scene(failures=1000)
    scene.enforce(three())
    scene.members[ONE].steps = [silent()]
    for _ in range(100):
        await scene.ask()
        await asyncio.sleep(0.1)

    assert 2 <= scene.members.calls(ONE)[0] <= 4
    assert scene.members.calls("127.0.0.1:99") == [0]
    await scene.aclose()


@virtual_time
async def test_all_down_and_back() -> None:
    """With every member and the spare out the request is refused at once; each that returns serves at once."""
    scene = Scene(failures=1)
    pool = scene.enforce(three())
    everybody = (*ALL, "127.0.0.1:99")
    for address in everybody:
        scene.members[address].steps = [silent()]
    with pytest.raises(GatewayError):
        await scene.ask()
    with pytest.raises(GatewayError, match="is available") as caught:
        await scene.ask()
    calls = scene.members.calls(*everybody)

    assert (caught.value.fault, caught.value.retryable) == (Fault.UNAVAILABLE, False)
    assert (pool.state, pool.is_available) == ("open", False)
    assert "failed" in pool.why or "refused" in pool.why
    scene.members[TWO].steps = [answer()]
    await asyncio.sleep(1.0)
    await scene.ask()
    assert scene.members.calls(*everybody) == [calls[0], calls[1] + 1, calls[2], calls[3]]
    await scene.aclose()


@virtual_time
async def test_a_model_that_fails_at_one_member_is_asked_of_others() -> None:
    """500s put no member out, but requests of that model go where it works."""
    scene = Scene(failures=2)
    pool = scene.enforce(three())
    scene.members[ONE].steps = [error_500()]
    for _ in range(80):
        try:
            await scene.ask()
        except GatewayError as error:
            assert error.fault is Fault.INTERNAL

    assert scene.members.calls(ONE)[0] == 2
    assert member(pool, ONE).is_available
    assert not member(pool, ONE).is_preferred("digits")
    assert pool.is_preferred("digits")
    await scene.aclose()


@virtual_time
async def test_errors_name_the_member_for_retry_and_not_for_clients() -> None:
    """The member stands in a field of its own; the message has no address."""
    scene = Scene(failures=1000)
    pool = scene.enforce(text(ONE))
    scene.members[ONE].steps = [silent()]

    with pytest.raises(GatewayError) as caught:
        await pool(request())

    assert caught.value.member == f"central/{ONE}"
    assert "10.0.0.1" not in caught.value.message
    await scene.aclose()


@virtual_time
async def test_a_killed_member_loses_only_what_was_under_way() -> None:
    """The three requests under way there are retried elsewhere; all thirty are answered."""
    scene = Scene(failures=3)
    scene.enforce(three())
    for address in ALL:
        scene.members[address].steps = [HANG]
    asking = [asyncio.create_task(scene.ask()) for _ in range(30)]
    await asyncio.sleep(0.001)
    under_way = scene.members[ONE].running
    assert under_way > 3

    scene.members[ONE].steps = [silent()]
    scene.members[ONE].release()
    for address in (TWO, THREE):
        scene.members[address].steps = [answer()]
        scene.members[address].release()
    await asyncio.gather(*asking)
    for _ in range(30):
        await scene.ask()

    assert scene.members.calls("127.0.0.1:99") == [0]
    await scene.aclose()


@virtual_time
async def test_cancelled_calls_leave_nothing_behind() -> None:
    """Callers that leave: no request is counted as under way, and nothing is held against the member."""
    scene = Scene()
    pool = scene.enforce(three())
    for address in ALL:
        scene.members[address].steps = [HANG]
    asking = [asyncio.create_task(scene.ask()) for _ in range(9)]
    await asyncio.sleep(0.001)
    assert sum(each.active for each in pool.members) == 9

    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)

    assert [each.active for each in pool.members] == [0, 0, 0]
    assert pool.state == "closed"
    await scene.aclose()


@virtual_time
async def test_the_endpoint_is_reported_open_when_all_its_members_are() -> None:
    """Events keep the name of the endpoint; one member that is out is no event of it."""
    telemetry = RecordingTelemetry()
    scene = Scene(telemetry=telemetry, failures=1)
    scene.enforce(text(ONE, TWO))
    scene.members[ONE].steps = [silent()]
    for _ in range(8):
        await scene.ask()
    assert telemetry.of(BreakerChanged) == []

    scene.members[TWO].steps = [silent()]
    await scene.ask()

    assert telemetry.of(BreakerChanged) == [BreakerChanged("central", "open", "refused")]
    assert telemetry.of(BreakerAppeared) == [BreakerAppeared("central"), BreakerAppeared("spare")]
    assert telemetry.of(BreakerGone) == []
    await scene.aclose()


@virtual_time
async def test_a_drained_member_gets_no_new_work_and_a_drained_endpoint_none_at_all() -> None:
    """Drained by an operator, as a member and as a whole; undrained, it serves again."""
    scene = Scene()
    pool = scene.enforce(three())
    drained = scene.workshop.endpoints.drained

    drained.drain(f"central/{ONE}")
    for _ in range(30):
        await scene.ask()
    assert scene.members.calls(ONE) == [0]
    spare = scene.members.calls("127.0.0.1:99")[0]
    assert spare < 8, "two of three carry 93 % (overprovisioning 1.4)"

    drained.drain("central")
    await scene.ask()
    assert scene.members.calls("127.0.0.1:99") == [spare + 1]
    assert (pool.is_available, pool.why, pool.report()["drained"]) == (False, "it is drained", True)

    drained.undrain("central")
    drained.undrain(f"central/{ONE}")
    for _ in range(30):
        await scene.ask()
    assert scene.members.calls(ONE)[0] > 3
    await scene.aclose()


@virtual_time
async def test_a_policy_that_drains_keeps_the_connections() -> None:
    """``drain: true`` is a reload: members stay, new work goes elsewhere."""
    scene = Scene()
    before = scene.enforce(three())
    after = scene.enforce(three(generation=2, more="drain: true"))

    await scene.ask()

    assert after.members == before.members
    assert scene.members.calls("127.0.0.1:99") == [1]
    await scene.aclose()


@virtual_time
async def test_steps_of_a_sequence_meet_one_member() -> None:
    """Each sequence has one member, also while that is drained; several sequences have several."""
    scene = Scene()
    pool = scene.enforce(three())
    for number in range(30):
        first = {"sequence_id": number + 1, "sequence_start": True}
        await scene.ask(parameters=first)
    counts = scene.members.calls(*ALL)
    assert all(counts)
    held = next(each for each in pool.members if each.name == ONE)
    scene.workshop.endpoints.drained.drain(held.label)

    for number in range(30):
        await scene.ask(parameters={"sequence_id": number + 1})

    assert scene.members.calls(*ALL) == [2 * count for count in counts]
    await scene.aclose()


@virtual_time
async def test_a_sequence_whose_member_is_out_is_lost_and_says_so() -> None:
    """No other member has its state: it begins anew elsewhere."""
    scene = Scene(failures=1)
    scene.enforce(three())
    await scene.ask(parameters={"sequence_id": 7, "sequence_start": True})
    where = next(address for address in ALL if scene.members.calls(address) == [1])
    scene.members[where].steps = [silent()]
    with pytest.raises(GatewayError):
        await scene.ask(parameters={"sequence_id": 7})

    with pytest.raises(GatewayError, match="begin the sequence anew") as caught:
        await scene.ask(parameters={"sequence_id": 7})
    await scene.ask(parameters={"sequence_id": 7, "sequence_start": True})

    assert not caught.value.retryable
    await scene.aclose()


@virtual_time
async def test_who_asks_before_the_name_is_known_waits_for_it() -> None:
    """The first request waits for the look-up and no longer; a name that is not known sends it elsewhere."""
    resolver = Resolver(**{"central.test": ["10.0.0.1"]})
    resolver.delay_s = 0.5
    scene = Scene(resolver)
    pool = scene.enforce(text("central.test:80"))
    assert pool.is_available

    await scene.ask()

    assert names(pool) == ["central.test:80/10.0.0.1"]
    assert scene.members.calls("10.0.0.1:80") == [1]
    await scene.aclose()


@virtual_time
async def test_a_name_that_is_not_known_makes_the_endpoint_unavailable_until_it_is() -> None:
    """Requests go to the next endpoint; when the name is known, they come back."""
    resolver = Resolver()
    scene = Scene(resolver)
    pool = scene.enforce(text("central.test:80"))
    await scene.ask()
    assert scene.members.calls("127.0.0.1:99") == [1]
    assert (pool.is_available, pool.why) == (False, "its name is not known")

    resolver.answers["central.test"] = ["10.0.0.1"]
    await asyncio.sleep(2)
    await scene.ask()

    assert scene.members.calls("10.0.0.1:80") == [1]
    await scene.aclose()


@virtual_time
async def test_it_shows_its_members_and_how_it_chooses() -> None:
    """In /stack: the pool, with the stack of each member; in /readyz: each member's state."""
    scene = Scene()
    pool = scene.enforce(three())
    (layer,) = pool.layers()

    assert layer.role == "pool"
    assert list(layer.branches) == list(ALL)
    assert [each.role for each in layer.branches[ONE]][-1] == "upstream"
    report = pool.report()
    assert (report["state"], report["num_members"], list(report["members"])) == ("closed", 3, list(ALL))
    assert repr(pool).startswith("<EndpointPool central 3 of 3 up")
    await scene.aclose()


@virtual_time
async def test_metadata_come_from_a_member_that_answers() -> None:
    """What one member cannot tell another one does; signatures are asked of one member, not of all."""
    scene = Scene()
    pool = scene.enforce(three())

    assert pool.signature("digits", "") is None
    assert pool.is_first_question("digits", "")
    await asyncio.sleep(0.1)

    assert not pool.is_first_question("digits", "")
    await scene.aclose()


@virtual_time
async def test_a_500_of_everybody_puts_a_member_out_only_while_another_is_well() -> None:
    """The last member of the last endpoint stays in."""
    scene = Scene(failures=2)
    pool = scene.enforce(text(ONE, TWO).replace("[central, spare]", "[central]"))
    for address in (ONE, TWO):
        scene.members[address].steps = [error_500()]
    for number in range(40):
        caller = Caller(tenant=("acme", "other")[number % 2])
        with pytest.raises(GatewayError):
            await pool(request(model=f"m{number % 4}", caller=caller))

    assert sorted(each.parts.health.state for each in pool.members) == ["closed", "open"]
    await scene.aclose()


async def spread(scene: Scene, number: int, per_second: float) -> list[int]:
    """How many of so many requests go to the members of ``central`` together, and to the spare."""
    before = scene.members.calls(ONE, TWO, "127.0.0.1:99")
    for _ in range(number):
        await scene.ask()
        await asyncio.sleep(1 / per_second - 0.002)
    after = scene.members.calls(ONE, TWO, "127.0.0.1:99")
    one, two, spare = (calls - had for calls, had in zip(after, before, strict=True))
    return [one + two, spare]


@virtual_time
@pytest.mark.parametrize("workers", [1, 2, 4])
async def test_what_is_beyond_the_capacity_goes_to_the_next(workers: int) -> None:
    """Of the whole endpoint, each worker its part; once there is less to do all of it stays."""
    scene = Scene(workers=workers)
    pool = scene.enforce(text(ONE, TWO, more="capacity_rps: 20"))

    here, spare = await spread(scene, 800, 40)
    assert here == pytest.approx(400 / workers, abs=25)
    assert spare == 800 - here
    await asyncio.sleep(2)
    assert await spread(scene, 50, 4) == [50, 0]
    assert not pool.is_full
    await scene.aclose()


@virtual_time
async def test_capacity_refuses_nobody() -> None:
    """Where the next is at its capacity too, out, or not there, the first takes all."""
    scene = Scene()
    spare = "address: '127.0.0.1:99'"
    scene.enforce(text(ONE, TWO, more="capacity_rps: 1").replace(spare, f"{spare}, capacity_rps: 1"))
    assert (await spread(scene, 200, 40))[0] > 180

    scene.enforce(text(ONE, TWO, generation=2, more="capacity_rps: 1"))
    scene.workshop.endpoints.drained.drain("spare")
    assert await spread(scene, 100, 40) == [100, 0]
    await scene.aclose()


@virtual_time
async def test_retries_count_as_well() -> None:
    """What is sent is sent, whether it is answered or not."""
    scene = Scene(failures=1000)
    pool = scene.enforce(text(ONE, TWO, more="capacity_rps: 4", retries=1))
    for address in (ONE, TWO):
        scene.members[address].steps = [silent()]

    for _ in range(2):
        with pytest.raises(GatewayError):
            await pool(request(deadline=asyncio.get_running_loop().time() + 5))
    assert not pool.is_full
    for _ in range(2):
        with pytest.raises(GatewayError):
            await pool(request(deadline=asyncio.get_running_loop().time() + 5))

    assert pool.is_full
    await scene.aclose()
