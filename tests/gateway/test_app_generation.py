"""Dispatch and PolicyGeneration."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.generation import Dispatch, PolicyGeneration
from gateway.config.policy_file import load_policy
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from tests.fakes.service import ScriptedService, answer, request
from tests.gateway.policies import GOOD, write_policy

TWO_ROUTES = GOOD.replace(
    "routes:\n", "routes:\n- {name: exiles, match: {model: digits, tenants: [exile]}, endpoints: [central]}\n"
)


@pytest.fixture
def dispatch(tmp_path: Path) -> tuple[Dispatch, dict[str, ScriptedService]]:
    """Two routes of one model, told apart by tenant."""
    policy, _ = load_policy(write_policy(tmp_path, TWO_ROUTES))
    stacks = {"digits": ScriptedService(answer()), "exiles": ScriptedService(answer())}
    return Dispatch(policy, stacks), stacks


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


async def test_generation_answers_by_its_stacks() -> None:
    """A generation is a service with a number."""
    committed = []
    generation = PolicyGeneration(7, ScriptedService(answer()), commit=lambda: committed.append(7))

    generation.commit()

    assert await generation(request()) == answer()
    assert (generation.number, committed, repr(generation)) == (7, [7], "<PolicyGeneration 7>")
