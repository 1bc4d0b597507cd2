"""Dispatch and PolicyGeneration."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from gateway.app.endpoints import Endpoints
from gateway.app.generation import RETIRE_EXTRA_S, Builder, Dispatch, PolicyGeneration
from gateway.app.observe import Observed
from gateway.app.stacks import Parts
from gateway.config.policy_file import load_policy
from gateway.core.clock import LoopClock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request
from gateway.core.service import FastPath
from gateway.core.telemetry import Silence
from resilience.admission import Seats
from resilience.budget import RetryBudget
from resilience.drain import Drain
from resilience.settings import ResilienceSettings
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.fakes.virtual_time import virtual_time
from tests.gateway.policies import GOOD, write_policy

TWO_ROUTES = GOOD.replace(
    "routes:\n", "routes:\n- {name: exiles, match: {model: digits, tenants: [exile]}, endpoints: [central]}\n"
)


@pytest.fixture
def dispatch(tmp_path: Path) -> tuple[Dispatch, dict[str, ScriptedService]]:
    """Two routes of one model, told apart by tenant."""
    policy, _ = load_policy(write_policy(tmp_path, TWO_ROUTES))
    stacks = {"digits": ScriptedService(answer()), "exiles": ScriptedService(answer())}
    return Dispatch(policy, {name: stack(service=service) for name, service in stacks.items()}), stacks


async def test_route_is_chosen_by_model_and_tenant(dispatch) -> None:
    """The first route that takes both is the one."""
    service, stacks = dispatch

    await service(request(caller=Caller(tenant="exile")))
    await service(request())

    assert [len(stacks[name].requests) for name in ("exiles", "digits")] == [1, 1]
    assert repr(service) == "<Dispatch digits, exiles>"


@pytest.mark.parametrize(
    ("model", "says"),
    [("cats", "unknown model: 'cats' is not found"), ("x" * 500, "x\\.\\.\\."), ("\0", r"'\?'")],
)
async def test_unknown_model_is_not_found(dispatch, model: str, says: str) -> None:
    """Triton's text, and never an echo of what is long or unprintable."""
    with pytest.raises(GatewayError, match=says) as caught:
        await dispatch[0](request(model=model))

    assert caught.value.fault is Fault.NOT_FOUND


class Paved(ScriptedService):
    """A stack with a fast path."""

    def fast_path(self, like: Request) -> FastPath:
        return lambda _: answer(like.model)


async def test_fast_paths_are_those_of_the_route(tmp_path: Path) -> None:
    """A series takes its route's path, if that has one; what no route takes has none."""
    policy, _ = load_policy(write_policy(tmp_path, TWO_ROUTES))
    service = Dispatch(policy, {"digits": stack(service=Paved()), "exiles": stack(service=ScriptedService())})
    generation = PolicyGeneration(7, stack(service=service))

    path = generation.fast_path(request())

    assert path is not None
    assert path([b""]) == answer("digits")
    assert generation.fast_path(request(caller=Caller(tenant="exile"))) is None
    assert generation.fast_path(request(model="cats")) is None


async def test_generation_answers_by_its_stacks() -> None:
    """A generation is a service with a number."""
    committed = []
    generation = PolicyGeneration(
        7, stack(service=ScriptedService(answer())), commit=lambda: committed.append(7)
    )

    generation.commit()

    assert await generation(request()) == answer()
    assert (generation.number, committed, repr(generation)) == (7, [7], "<PolicyGeneration 7>")


SLOW = GOOD.replace("protocol: grpc", "protocol: http").replace(
    "  cascade:", "  timeout_ms: 40000\n  cascade:"
)
FAST = SLOW.replace("generation: 1", "generation: 2").replace("timeout_ms: 40000", "timeout_ms: 1000")
NEXT = FAST.replace("generation: 2", "generation: 3")
NEXT = NEXT.replace("  central:", "  other:").replace("[central]", "[other]")


@virtual_time
async def test_an_endpoint_that_is_dropped_outlives_the_requests_that_hold_it(tmp_path: Path) -> None:
    """It stays open for as long as any policy before let requests run, whatever the new ones say."""
    silence, clock, loop = Silence(), LoopClock(), asyncio.get_running_loop()
    settings = ResilienceSettings()
    observed = Observed(clock, silence, None)
    endpoints = Endpoints(settings, clock, silence, observed)
    parts = Parts(
        region="here",
        clock=clock,
        chance=Random(1),
        telemetry=silence,
        observed=observed,
        resilience=settings,
        drain=Drain(),
        budget=RetryBudget(settings.retry_budget),
        seats=Seats(1024),
    )
    builder = Builder(parts, endpoints, None, lambda _address: None, None)
    for text in (SLOW, FAST, NEXT):
        builder(load_policy(write_policy(tmp_path, text))[0]).commit()

    await asyncio.sleep(40)
    at_the_end_of_the_last_request = repr(endpoints)
    await asyncio.sleep(RETIRE_EXTRA_S + 1)

    assert "1 retiring" in at_the_end_of_the_last_request
    assert "0 retiring" in repr(endpoints)
    assert loop.time() == pytest.approx(1046)
    assert builder.in_force().generation == 3
    await endpoints.aclose()
