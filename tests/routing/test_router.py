"""The router."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.core.errors import Fault, GatewayError
from routing.placements import Placements
from routing.router import Router
from tests.fakes.service import HANG, ScriptedService, answer, request
from tests.fakes.virtual_time import virtual_time
from tests.routing.policies import Echo, Health, endpoint, policy, route

ALL = frozenset({"eu-west", "us-east", "ap-south"})
NAMES = ("central", "central-eu", "eu-west-gw", "ap-south-gw")


def services() -> dict[str, ScriptedService]:
    return {name: ScriptedService(answer(region=name)) for name in NAMES}


def router(endpoints: Mapping[str, ScriptedService], own: str = "us-east", *out: str) -> Router:
    made = policy()
    return Router(made, made.routes[0], own, endpoints=endpoints, view=Health(*out))


async def where(made: Router, **changes: object) -> str:
    response = await made(request(**{"regions": ALL, **changes}))
    return response.provenance.region


async def test_attempts_walk_through_the_plan() -> None:
    """Attempt n takes the n-th endpoint, nearest first, and starts again after the last."""
    made = router(services())

    visited = [await where(made, attempt=attempt) for attempt in range(5)]

    assert visited == ["central", "central-eu", "eu-west-gw", "ap-south-gw", "central"]


@pytest.mark.parametrize(
    ("own", "first"), [("eu-west", "central-eu"), ("us-east", "central"), ("ap-south", "central")]
)
async def test_nearest_endpoint_comes_first(own: str, first: str) -> None:
    """The own region's, else the first of its fail-over order."""
    assert await where(router(services(), own)) == first


async def test_endpoint_that_is_out_is_passed_over() -> None:
    """The second is the first while the first is out."""
    made = router(services(), "us-east", "central")

    assert await where(made) == "central-eu"


@pytest.mark.parametrize("names", [["central"], list(NAMES)], ids=["the only one", "all"])
@pytest.mark.parametrize("attempt", [0, 1])
async def test_none_available_is_one_fast_refusal(names: list[str], attempt: int) -> None:
    """There is no elsewhere to try: nobody is asked, and no back-off is paid for nothing."""
    made = policy(routes=[route(endpoints=names)])
    endpoints = services()
    subject = Router(made, made.routes[0], "us-east", endpoints=endpoints, view=Health(*names))

    with pytest.raises(GatewayError, match="'digits' that may be asked is available") as caught:
        await where(subject, attempt=attempt)
    assert "('central': connection refused" in caught.value.message

    assert (caught.value.fault, caught.value.retryable) == (Fault.UNAVAILABLE, False)
    assert not any(service.requests for service in endpoints.values())


async def test_where_the_model_fails_gets_requests_only_when_no_other_is_left() -> None:
    """It answers, and what fails for one request may work for the next; nothing is refused for it."""
    made = policy()
    health = Health("central-eu", failing=["central"])
    subject = Router(made, made.routes[0], "us-east", endpoints=services(), view=health)
    us = frozenset({"us-east"})

    assert await where(subject) == "eu-west-gw"
    assert await where(subject, regions=us) == "central"


async def test_endpoint_that_comes_back_gets_requests_again() -> None:
    """The view is read at every attempt."""
    health = Health(*NAMES)
    made = policy()
    subject = Router(made, made.routes[0], "us-east", endpoints=services(), view=health)

    with pytest.raises(GatewayError):
        await where(subject)
    health.out.remove("central-eu")

    assert await where(subject) == "central-eu"


async def test_next_attempt_goes_elsewhere_when_the_first_put_its_endpoint_out() -> None:
    """The endpoint whose breaker the first attempt opened is not the second attempt's choice."""
    health = Health()
    made = policy(routes=[route(endpoints=["central", "central-eu"])])
    subject = Router(made, made.routes[0], "us-east", endpoints=services(), view=health)

    first = await where(subject, attempt=0)
    health.out.add(first)
    second = await where(subject, attempt=1)

    assert (first, second) == ("central", "central-eu")


async def test_nothing_leaves_the_allowed_regions() -> None:
    """All attempts of a request of one region stay in it, even when all there is out."""
    made = router(services(), "us-east", "central-eu")
    eu = frozenset({"eu-west"})

    assert {await where(made, attempt=n, regions=eu) for n in range(6)} == {"eu-west-gw"}

    dark = router(services(), "us-east", "central-eu", "eu-west-gw")
    with pytest.raises(GatewayError, match="that may be asked is available"):
        await where(dark, regions=eu)


async def test_no_endpoint_in_the_allowed_regions_is_refused() -> None:
    """An empty plan is a 503 that no retry can cure."""
    endpoints = services()

    with pytest.raises(GatewayError, match="no endpoint of route 'digits'") as caught:
        await where(router(endpoints, "ap-south"), regions=frozenset({"ap-south"}))

    assert caught.value.fault is Fault.UNAVAILABLE
    assert not caught.value.retryable
    assert not caught.value.counts
    assert all(service.requests == [] for service in endpoints.values())


async def test_request_without_regions_is_refused() -> None:
    """Nothing is sent when Residency has not spoken."""
    endpoints = services()

    with pytest.raises(GatewayError) as caught:
        await where(router(endpoints), regions=None)

    assert caught.value.fault is Fault.INTERNAL
    assert all(service.requests == [] for service in endpoints.values())


async def test_hops_are_counted_where_they_are_made() -> None:
    """The router reads the hops; the wire on which the next one is made counts it, once."""
    endpoints = services()
    made = router(endpoints)

    for attempt in range(3):
        await where(made, attempt=attempt)

    assert endpoints["eu-west-gw"].requests[0].hops == 0
    assert endpoints["central"].requests[0].hops == 0


async def test_no_third_gateway() -> None:
    """A request that came from a gateway goes to central tiers only."""
    made = router(services())

    assert {await where(made, attempt=n, hops=1) for n in range(6)} == {"central", "central-eu"}


async def test_own_gateway_is_never_called() -> None:
    """A gateway does not call itself, so its own endpoint need not even exist."""
    endpoints = services()
    del endpoints["eu-west-gw"]
    made = router(endpoints, "eu-west")

    assert {await where(made, attempt=n) for n in range(6)} == {"central", "central-eu", "ap-south-gw"}


def test_endpoint_without_a_service_is_an_error_of_the_composition() -> None:
    """A router that could not send somewhere is not built."""
    endpoints = services()
    del endpoints["central"]

    with pytest.raises(KeyError, match="central"):
        router(endpoints)


def test_state_can_be_read() -> None:
    """Each endpoint, and which are out."""
    made = router(services(), "us-east", "central-eu")

    assert repr(made) == "<Router digits in us-east: central, central-eu (out), eu-west-gw, ap-south-gw>"


def test_router_without_endpoints_says_so() -> None:
    """A route that lives from its edge model has a router that refuses."""
    made = policy(routes=[route(endpoints=[], cascade={})])

    assert repr(Router(made, made.routes[0], "us-east", endpoints={}, view=Health())) == (
        "<Router digits in us-east: no endpoints>"
    )


async def test_error_of_an_endpoint_passes_through() -> None:
    """The flags with which a fault is born reach Retry; that there is an elsewhere is said by another error."""
    endpoints = services()
    error = GatewayError(Fault.UNAVAILABLE, "down", retryable=True, counts=True, retry_after_s=2.0)
    endpoints["central"].steps = [error]

    with pytest.raises(GatewayError) as caught:
        await where(router(endpoints))

    assert repr(caught.value) == repr(error)
    assert (caught.value.retry_after_s, caught.value.elsewhere) == (2.0, True)
    assert caught.value.__cause__ is error
    assert not error.elsewhere


@virtual_time
async def test_cancelled_caller_leaves_it_clean() -> None:
    """Cancelling reaches the endpoint, one of two callers harms not the other."""
    endpoints = services()
    endpoints["central"].steps = [HANG]
    made = router(endpoints)

    leaver, stayer = (asyncio.create_task(where(made)) for _ in range(2))
    await asyncio.sleep(1)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    assert endpoints["central"].running == 1

    endpoints["central"].release()
    await stayer
    assert endpoints["central"].running == 0


@given(
    st.sets(st.sampled_from([*ALL, "mars"])),
    st.sampled_from(sorted(ALL)),
    st.sets(st.sampled_from(NAMES)),
    st.integers(0, 9),
    st.integers(0, 2),
)
def test_no_attempt_leaves_the_allowed_set(
    regions: set[str], own: str, out: set[str], attempt: int, hops: int
) -> None:
    """Whatever the regions, health, attempt and hops: what is called lies inside, and is not this gateway."""
    made = policy()
    endpoints = {name: Echo(answer(region=made.endpoints[name].region)) for name in NAMES}
    subject = Router(made, made.routes[0], own, endpoints=endpoints, view=Health(*out))
    sent = request(regions=frozenset(regions), attempt=attempt, hops=hops)

    try:
        asyncio.run(subject(sent))
    except GatewayError as error:
        assert error.fault is Fault.UNAVAILABLE
    called = [name for name, service in endpoints.items() if service.requests]

    assert len(called) <= 1
    for name in called:
        assert made.endpoints[name].region in regions
        if made.endpoints[name].tier == "edge":
            assert hops == 0
            assert made.endpoints[name].region != own


def test_endpoint_of_an_unknown_region_is_never_used() -> None:
    """Unknown is denied: such an endpoint needs no service."""
    made = policy(endpoints={"central": endpoint("mars")}, routes=[route()])

    assert "no endpoints" in repr(Router(made, made.routes[0], "us-east", endpoints={}, view=Health()))


@pytest.mark.parametrize(("attempt", "elsewhere"), [(0, True), (3, True), (7, True)])
async def test_failures_know_whether_the_next_attempt_goes_elsewhere(attempt: int, elsewhere: bool) -> None:
    """Where there is another endpoint, the next attempt asks it."""
    endpoints = {
        name: ScriptedService(GatewayError(Fault.OVERLOADED, "later", retryable=True)) for name in NAMES
    }

    with pytest.raises(GatewayError) as caught:
        await where(router(endpoints), attempt=attempt)

    assert caught.value.elsewhere is elsewhere


async def test_with_one_endpoint_left_there_is_no_elsewhere() -> None:
    """The next attempt would ask the same one again: it is left alone for as long as it wants."""
    endpoints = {
        name: ScriptedService(GatewayError(Fault.OVERLOADED, "later", retryable=True)) for name in NAMES
    }
    made = router(endpoints, "us-east", *[name for name in NAMES if name != "central-eu"])

    with pytest.raises(GatewayError) as caught:
        await where(made)

    assert caught.value.elsewhere is False


def sequence_step(number: int = 7, **more: object) -> dict[str, object]:
    return {"parameters": {"sequence_id": number, **more}}


async def place_of(made: Router, number: int) -> str:
    return await where(made, **sequence_step(number, sequence_start=True))


async def test_steps_of_a_sequence_go_to_one_endpoint() -> None:
    """Also as further attempts; different sequences go to several of the nearest."""
    made = policy(routes=[route(endpoints=["east", "central"])], endpoints=_two())
    services_ = {name: ScriptedService(answer(region=name)) for name in ("east", "central")}
    subject = Router(made, made.routes[0], "us-east", endpoints=services_, view=Health())

    first = {number: await place_of(subject, number) for number in range(1, 21)}
    later = {number: await where(subject, **sequence_step(number), attempt=1) for number in first}

    assert first == later
    assert set(first.values()) == {"east", "central"}


def _two() -> dict[str, object]:
    return {"central": endpoint("us-east"), "east": endpoint("us-east"), "far": endpoint("eu-west")}


async def test_a_sequence_stays_where_it_began_when_its_first_choice_comes_back() -> None:
    """And with a policy in between, for placements outlive it."""
    made = policy(routes=[route(endpoints=["east", "central"])], endpoints=_two())
    services_ = {name: ScriptedService(answer(region=name)) for name in ("east", "central")}
    health, placements = Health(), Placements()
    subject = Router(made, made.routes[0], "us-east", endpoints=services_, view=health, placements=placements)
    first = await place_of(subject, 7)
    health.out.add(first)
    second = await place_of(subject, 7)
    health.out.clear()

    anew = Router(made, made.routes[0], "us-east", endpoints=services_, view=health, placements=placements)
    later = await where(anew, **sequence_step())
    await where(anew, **sequence_step(sequence_end=True))
    again = await where(anew, **sequence_step())

    assert first != second
    assert (later, again) == (second, first)


async def test_a_sequence_whose_endpoint_is_lost_is_told_to_begin_anew() -> None:
    """Its steps go nowhere else; START may."""
    made = policy(routes=[route(endpoints=["east", "central"])], endpoints=_two())
    services_ = {name: ScriptedService(answer(region=name)) for name in ("east", "central")}
    health = Health()
    subject = Router(made, made.routes[0], "us-east", endpoints=services_, view=health)
    first = await place_of(subject, 7)
    health.out.add(first)

    with pytest.raises(GatewayError, match="begin the sequence anew, with sequence_start") as caught:
        await where(subject, **sequence_step())
    asked = sum(len(service.requests) for service in services_.values())

    assert (caught.value.fault, caught.value.retryable, asked) == (Fault.UNAVAILABLE, False, 1)
    assert await place_of(subject, 7) != first


async def test_sequences_begin_at_the_nearest() -> None:
    """And farther only when none of those is there."""
    made = policy(routes=[route(endpoints=["far", "east", "central"])], endpoints=_two())
    services_ = {name: ScriptedService(answer(region=name)) for name in ("far", "east", "central")}
    health = Health()
    subject = Router(made, made.routes[0], "us-east", endpoints=services_, view=health)

    near = {await place_of(subject, number) for number in range(1, 20)}
    health.out |= {"east", "central"}
    far = {await place_of(subject, number) for number in range(1, 20)}
    health.out.add("far")

    assert (near, far) == ({"east", "central"}, {"far"})
    with pytest.raises(GatewayError, match="'digits' that may be asked is available"):
        await place_of(subject, 1)


@pytest.mark.parametrize(
    ("regions", "out", "tried", "has_other"),
    [
        (ALL, (), (), True),
        (ALL, (), ("central/a",), True),
        (frozenset({"us-east"}), (), (), True),
        (frozenset({"us-east"}), (), ("central/a",), False),
        (frozenset({"us-east", "eu-west"}), (), ("central/a",), True),
        (frozenset({"us-east", "eu-west"}), ("central-eu", "eu-west-gw"), ("central/a",), False),
        (frozenset(), (), (), False),
        (None, (), (), False),
    ],
)
def test_whether_there_is_another_member(
    regions: frozenset[str] | None, out: tuple[str, ...], tried: tuple[str, ...], has_other: bool
) -> None:
    """Only one inside the regions that would let it through now, and that it was not sent to."""
    made = policy()
    view = Health(*out)
    subject = Router(made, made.routes[0], "us-east", endpoints=services(), view=view)

    assert subject.has_other(request(regions=regions, tried=tried)) is has_other


def test_a_request_from_another_gateway_has_no_third_one() -> None:
    """What is left for it are the central endpoints."""
    made = policy(routes=[route(endpoints=["central", "eu-west-gw"])])
    view = Health()
    subject = Router(made, made.routes[0], "us-east", endpoints=services(), view=view)
    asked = request(regions=ALL, tried=("central/a",))

    assert subject.has_other(asked)
    assert not subject.has_other(replace(asked, hops=1))


TWO_OF = ["central", "central-eu"]


def knowing(health: Health, endpoints: Mapping[str, ScriptedService] | None = None) -> Router:
    """A router to two endpoints, ``central`` first, that knows what ``health`` knows."""
    made = policy(routes=[route(endpoints=TWO_OF)])
    return Router(made, made.routes[0], "us-east", endpoints=endpoints or services(), view=health)


async def test_who_lacks_the_model_is_passed_over() -> None:
    """At each attempt; where all lack it the first answers that there is none."""
    health = Health()
    health.lacks = {"central"}
    assert [await where(knowing(health), attempt=n) for n in range(3)] == ["central-eu"] * 3

    health.lacks = {"central", "central-eu"}
    assert [await where(knowing(health), attempt=n) for n in range(2)] == TWO_OF


@pytest.mark.parametrize("parameters", [{}, {"sequence_id": 7, "sequence_start": True}])
async def test_where_those_that_hold_it_are_out(parameters: dict[str, int]) -> None:
    """It is there, so nobody says that it is not; who is not known to hold it leaves the answer to others."""
    health = Health("central-eu")
    health.lacks, health.holding = {"central"}, {"central-eu"}
    with pytest.raises(GatewayError, match="'central': it does not hold the model") as caught:
        await where(knowing(health), parameters=parameters)
    assert caught.value.fault is Fault.UNAVAILABLE
    assert "'central-eu': connection refused" in caught.value.message

    health.holding = set()
    assert await where(knowing(health), parameters=parameters) == "central"


async def test_a_sequence_begins_where_its_model_is_and_stays() -> None:
    """What is known of models later does not part it from its state."""
    health = Health()
    health.lacks = {"central"}
    made = knowing(health)
    step = {"sequence_id": 7}
    assert await where(made, parameters={**step, "sequence_start": True}) == "central-eu"

    health.lacks = {"central-eu"}

    assert await where(made, parameters=step) == "central-eu"
    assert await where(made, parameters={**step, "sequence_start": True}) == "central"


@pytest.mark.parametrize(("lacking", "retryable"), [({"central"}, True), (set(TWO_OF), False)])
async def test_an_index_that_was_wrong(lacking: set[str], retryable: bool) -> None:
    """Another attempt is made where another endpoint may hold the model, and nowhere else."""
    health = Health()
    endpoints = services()

    class Contradicted(ScriptedService):
        async def __call__(self, _request: object) -> None:  # type: ignore[override]
            health.lacks = lacking
            raise GatewayError(Fault.NOT_FOUND, "unknown model", retryable=True, member="central/a")

    endpoints["central"] = Contradicted()
    with pytest.raises(GatewayError, match="unknown model") as caught:
        await where(knowing(health, endpoints))

    assert (caught.value.retryable, caught.value.elsewhere) == (retryable, retryable)


async def test_another_that_is_out_is_no_place_for_another_attempt() -> None:
    """Then the client gets the answer that there is."""
    health = Health("central-eu")
    endpoints = services()
    error = GatewayError(Fault.NOT_FOUND, "unknown model", retryable=True, member="central/a")
    endpoints["central"] = ScriptedService(error)
    health.lacks = set()
    made = knowing(health, endpoints)
    made_lacking = {"central"}

    async def ask() -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            await where(made)
        return caught.value

    assert (await ask()).retryable
    health.lacks = made_lacking
    assert not (await ask()).retryable


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_what_is_known_of_models_never_widens_the_residency(
    lacks: set[str], holds: set[str], out: set[str]
) -> None:
    """Whoever holds the model, a request of one region stays there."""
    health = Health(*out)
    health.lacks, health.holding = lacks, holds
    made = policy()
    subject = Router(made, made.routes[0], "us-east", endpoints=services(), view=health)

    async def visited() -> set[str]:
        found = set()
        for attempt in range(4):
            try:
                found.add(await where(subject, attempt=attempt, regions=frozenset({"eu-west"})))
            except GatewayError as error:
                assert error.fault is Fault.UNAVAILABLE
        return found

    assert asyncio.run(visited()) <= {"central-eu", "eu-west-gw"}
