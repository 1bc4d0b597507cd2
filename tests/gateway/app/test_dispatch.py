"""Which stack a request takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.dispatch import RouteDispatch
from gateway.config.policy_file import load_policy
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Request
from gateway.core.service import FastPath
from routing.matching import Routes
from tests.fakes.service import ScriptedService, answer, request
from tests.fakes.stack import stack
from tests.gateway.policies import TWO_ROUTES, write_policy
from tests.routing.policies import policy, route


@pytest.fixture
def dispatch(tmp_path: Path) -> tuple[RouteDispatch, dict[str, ScriptedService]]:
    """Two routes of one model, which differ by tenant."""
    policy, _ = load_policy(write_policy(tmp_path, TWO_ROUTES))
    stacks = {"digits": ScriptedService(answer()), "exiles": ScriptedService(answer())}
    return RouteDispatch(
        Routes(policy), {name: stack(service=service) for name, service in stacks.items()}
    ), stacks


async def test_route_is_chosen_by_model_and_tenant(dispatch) -> None:
    """The first route that takes both is the one."""
    service, stacks = dispatch

    await service(request(caller=Caller(tenant="exile")))
    await service(request())

    assert [len(stacks[name].requests) for name in ("exiles", "digits")] == [1, 1]
    assert repr(service) == "<RouteDispatch digits, exiles>"


@pytest.mark.parametrize(
    ("model", "message"),
    [("cats", "unknown model: 'cats' is not found"), ("x" * 500, "x\\.\\.\\."), ("\0", r"'\?'")],
)
async def test_unknown_model_is_not_found(dispatch, model: str, message: str) -> None:
    """Triton's text, and never an echo of what is long or unprintable."""
    with pytest.raises(GatewayError, match=message) as caught:
        await dispatch[0](request(model=model))

    assert caught.value.fault is Fault.NOT_FOUND


class Fast(ScriptedService):
    """A stack with a fast path."""

    def fast_path(self, like: Request) -> FastPath:
        return lambda _: answer(like.model)


async def test_fast_paths_are_those_of_the_route(tmp_path: Path) -> None:
    """A series takes its route's path, if that has one; a model that no route takes has none."""
    policy, _ = load_policy(write_policy(tmp_path, TWO_ROUTES))
    service = RouteDispatch(
        Routes(policy), {"digits": stack(service=Fast()), "exiles": stack(service=ScriptedService())}
    )

    path = service.fast_path(request())

    assert path is not None
    assert path([b""]) == answer("digits")
    assert service.fast_path(request(caller=Caller(tenant="exile"))) is None
    assert service.fast_path(request(model="cats")) is None


@pytest.mark.parametrize(
    ("sticky_by", "routed", "name"),
    [
        ("tenant", (), "digits"),
        ("tenant", (("x-team", "blue"),), "team"),
        ("input", (), "digits"),
        ("input", (("x-team", "blue"), ("x-part", "yes")), None),
    ],
)
async def test_fast_paths_go_by_the_conditions_of_routes(
    sticky_by: str, routed: tuple[tuple[str, str], ...], name: str | None
) -> None:
    """The path is that of the route that the call takes; where data chooses there is none."""
    part = {"match": {"headers": {"x-part": "yes"}, "percent": 50}, "sticky_by": sticky_by}
    made = policy(
        routes=[
            route("part") | part,
            route("team") | {"match": {"headers": {"x-team": "blue"}}},
            route("digits"),
        ]
    )
    paths: list[str] = []

    class Named(ScriptedService):
        def __init__(self, name: str) -> None:
            super().__init__(answer())
            self.name = name

        def fast_path(self, _like: Request) -> FastPath:
            paths.append(self.name)
            return lambda _: answer(self.name)

    services = {each.name: Named(each.name) for each in made.routes}
    service = RouteDispatch(Routes(made), {each: stack(service=services[each]) for each in services})
    like = request(routed=routed)

    path = service.fast_path(like)
    await service(like)

    assert (path is not None) is (name is not None)
    assert paths == ([name] if name else [])
    assert name is None or [each for each in services if services[each].requests] == [name]
