"""The stacks of routes, made when they are first used."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.route_stacks import NO_ROUTES, RouteStacks
from gateway.config.policy_file import load_policy
from gateway.core.stack import Stack
from routing.policy import Route
from tests.fakes.service import ScriptedService
from tests.fakes.stack import stack
from tests.gateway.policies import TWO_ROUTES, write_policy


class Maker:
    """Counts what it makes."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, route: Route) -> Stack:
        self.made.append(route.name)
        return stack(service=ScriptedService())


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def stacks(tmp_path: Path, maker: Maker) -> RouteStacks:
    policy, _ = load_policy(write_policy(tmp_path, TWO_ROUTES))
    return RouteStacks(policy.routes, maker)


def test_a_stack_is_made_once(stacks: RouteStacks, maker: Maker) -> None:
    """When its route is first used; which routes there are is known without."""
    assert set(stacks) == {"digits", "exiles"}
    assert len(stacks) == 2
    assert maker.made == []

    assert stacks["digits"] is stacks["digits"]

    assert maker.made == ["digits"]
    assert repr(stacks) == "<RouteStacks, 1 of 2 made>"


def test_a_glance_keeps_nothing(stacks: RouteStacks, maker: Maker) -> None:
    """A report sees the stacks in use, and of the others what they would be."""
    used = stacks["digits"]

    seen = dict(stacks.glances())

    assert set(seen) == {"digits", "exiles"}
    assert seen["digits"] is used
    assert sorted(maker.made) == ["digits", "exiles"]
    assert repr(stacks) == "<RouteStacks, 1 of 2 made>"


def test_no_such_route(stacks: RouteStacks) -> None:
    """It has no stack; without a policy nothing has."""
    with pytest.raises(KeyError):
        stacks["cats"]
    with pytest.raises(KeyError):
        NO_ROUTES["digits"]
    assert list(NO_ROUTES.glances()) == []
