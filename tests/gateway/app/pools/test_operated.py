"""What an operator sees of the endpoints, and does with them."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.app.pools.operated import OperatedEndpoints
from gateway.core.errors import Fault, GatewayError
from tests.fakes.virtual_time import virtual_time
from tests.gateway.app.pools.scene import Scene, text, three

ONE = "10.0.0.1:80"


def operated(scene: Scene) -> OperatedEndpoints:
    return OperatedEndpoints(scene.workshop.in_force.endpoints, scene.workshop.endpoints.drained)


@virtual_time
async def test_every_endpoint_is_listed_with_its_members() -> None:
    """Who is drained, by whom, and how each member is."""
    scene = Scene()
    scene.enforce(three(more="drain: true"))
    endpoints = operated(scene)
    await endpoints.drain("spare", "")
    await endpoints.drain("central", ONE)

    central, spare = await endpoints.listed()

    assert (central["endpoint"], central["drained"], central["state"]) == ("central", "policy", "closed")
    assert [each["member"] for each in central["members"]] == [ONE, "10.0.0.2:80", "10.0.0.3:80"]
    assert [each.get("drained", False) for each in central["members"]] == [True, False, False]
    assert (spare["drained"], spare["region"], spare["protocol"]) == ("operator", "there", "http")
    await scene.aclose()


@virtual_time
async def test_what_is_drained_stays_so_through_reloads() -> None:
    """Also where the members are new ones; undrained, it is back."""
    scene = Scene()
    scene.enforce(three())
    endpoints = operated(scene)
    await endpoints.drain("central", ONE)

    pool = scene.enforce(three(generation=2, more="max_concurrency: 3"))

    assert [each.is_available for each in pool.members] == [False, True, True]
    await endpoints.undrain("central", ONE)
    assert all(each.is_available for each in pool.members)
    await scene.aclose()


@virtual_time
async def test_what_is_gone_can_be_undrained() -> None:
    """Else its name would stay drained for one that has it later."""
    scene = Scene()
    scene.enforce(three())
    endpoints = operated(scene)
    await endpoints.drain("central", ONE)
    scene.enforce(text("10.0.0.2:80", generation=2))

    await endpoints.undrain("central", ONE)

    assert repr(endpoints) == "<OperatedEndpoints <Drained nothing>>"
    await scene.aclose()


@virtual_time
@pytest.mark.parametrize(
    ("endpoint", "member", "message"),
    [
        ("centrall", "", "did you mean 'central'"),
        ("central", "10.0.0.9:80", "^endpoint 'central': unknown member .*(known|mean)"),
        ("x" * 5000, "", "unknown endpoint"),
        ("", "", "unknown endpoint ''"),
    ],
)
async def test_what_is_not_there_cannot_be_drained(endpoint: str, member: str, message: str) -> None:
    """The error names what would be known."""
    scene = Scene()
    scene.enforce(three())
    endpoints = operated(scene)

    for change in (endpoints.drain, endpoints.undrain):
        with pytest.raises(GatewayError, match=message) as caught:
            await change(endpoint, member)
        assert caught.value.fault is Fault.NOT_FOUND
        assert len(caught.value.message) < 400
    await scene.aclose()


@virtual_time
async def test_what_the_policy_drains_only_the_policy_undrains() -> None:
    """The error says where."""
    scene = Scene()
    scene.enforce(three(more="drain: true"))

    with pytest.raises(GatewayError, match="take `drain: true` out"):
        await operated(scene).undrain("central", "")
    await scene.aclose()


@virtual_time
async def test_metrics_have_a_row_for_each_member() -> None:
    """What it did, whether it is drained, and its state."""
    scene = Scene()
    scene.enforce(three())
    endpoints = operated(scene)
    await endpoints.drain("spare", "")
    await scene.ask()

    rows = list(endpoints.rows())

    assert [each.endpoint for each in rows] == ["central"] * 3 + ["spare"]
    assert sum(each.requests for each in rows) == 1
    assert [each.is_drained for each in rows] == [False, False, False, True]
    assert {each.state for each in rows} == {"closed"}
    await scene.aclose()


@virtual_time
async def test_what_is_known_of_models_is_shown() -> None:
    """By the policy's list of an endpoint, and by the index of each member, since when."""
    scene = Scene()
    spare = "address: '127.0.0.1:99'"
    scene.enforce(text(ONE, "10.0.0.2:80").replace(spare, f"{spare}, models: ['dig*', 'echo:3']"))
    scene.members[ONE].hold("digits:2", "digits:10", "echo")
    await asyncio.sleep(2)
    endpoints = operated(scene)

    central, spare_row = await endpoints.listed()

    first, second = central["members"]
    assert (first["models"], first["num_models"]) == (["digits:2,10", "echo:1"], 2)
    assert abs(first["models_since"] - time.time()) < 3600
    assert "models" not in second
    assert "models" not in central
    assert (spare_row["models"], spare_row["num_models"]) == (["echo:3", "dig*"], 2)
    assert [row.num_models for row in endpoints.rows()] == [2, None, None]
    health = scene.workshop.in_force.endpoints().report()
    assert health["spare"]["models"] == ["echo:3", "dig*"]
    assert health["central"]["members"][ONE]["num_models"] == 2
    await scene.aclose()


@virtual_time
async def test_what_the_one_member_of_the_older_form_holds_is_in_health() -> None:
    """Beside its state."""
    scene = Scene()
    scene.enforce(text(ONE))
    scene.members["127.0.0.1:99"].hold("echo")
    await asyncio.sleep(2)

    assert scene.workshop.in_force.endpoints().report()["spare"]["models"] == ["echo:1"]
    await scene.aclose()
