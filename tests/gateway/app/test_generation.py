"""A generation as a value, and its one holder."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gateway.app.endpoint_set import NO_ENDPOINTS
from gateway.app.generation import Generation, InForce
from gateway.app.route_edge_models import NO_EDGE_MODELS
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Request
from gateway.core.service import FastPath
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.gateway.app.workshop import FakeConnector, FakeUpstream, Workshop
from tests.gateway.policies import GOOD


class Fast(ScriptedService):
    """A stack with a fast path."""

    def fast_path(self, like: Request) -> FastPath:
        return lambda _: answer(like.model)


async def test_a_generation_answers_by_its_stacks() -> None:
    """It is a service with a number."""
    generation = Generation(7, stack(service=ScriptedService(answer())))

    assert await generation(request()) == answer()
    assert generation.fast_path(request()) is None
    assert (generation.number, repr(generation)) == (7, "<Generation 7>")


def test_a_generation_has_the_fast_path_of_its_stacks() -> None:
    """As they find it."""
    path = Generation(7, stack(service=Fast())).fast_path(request())

    assert path is not None
    assert path([b""]) == answer("digits")


def test_nothing_is_in_force_at_first() -> None:
    """A request before there is a policy is refused; there are no endpoints and no edge models."""
    in_force = InForce()

    with pytest.raises(GatewayError, match="no policy is in force yet") as caught:
        in_force.current()(request())

    assert (caught.value.fault, caught.value.retryable) == (Fault.UNAVAILABLE, True)
    assert (in_force.endpoints(), in_force.edge_models()) == (NO_ENDPOINTS, NO_EDGE_MODELS)
    with pytest.raises(AssertionError):
        in_force.policy()


async def test_everybody_reads_what_the_holder_holds() -> None:
    """One assignment changes the service, the policy and the endpoints at once."""
    workshop = Workshop()
    first = workshop.build(GOOD)
    in_force = InForce()

    before = in_force.swap(first)

    assert before.number == 0
    assert in_force.current() is first
    assert in_force.policy() is first.policy
    assert in_force.endpoints() is first.endpoints
    assert repr(in_force) == "<InForce <Generation 1>>"
    assert in_force.swap(Generation(2, stack(service=ScriptedService()))) is first
    workshop.endpoints.discard(first.endpoints)
    await workshop.aclose()


async def test_what_another_worker_let_through_goes_to_an_endpoint() -> None:
    """Of the route that takes it here, past all that was done about it there; where none does it is not known."""
    upstream = FakeUpstream(answer())
    workshop = Workshop(connector=FakeConnector(upstream))
    in_force = InForce()
    in_force.swap(workshop.build(GOOD))
    step = request(parameters={"sequence_id": 7}, regions=frozenset({"here", "there"}))

    assert await in_force.send(step) == answer()
    with pytest.raises(GatewayError) as unknown:
        await in_force.send(replace(step, model="nobodys"))
    with pytest.raises(GatewayError) as unfixed:
        await in_force.send(replace(step, regions=None))
    await workshop.aclose()

    assert [each.parameters["sequence_id"] for each in upstream.requests] == [7]
    assert (unknown.value.fault, unfixed.value.fault) == (Fault.NOT_FOUND, Fault.INTERNAL)
