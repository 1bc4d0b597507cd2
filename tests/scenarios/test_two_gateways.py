"""Two regions' gateways, one asking the other: who is believed, and what a residency leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.app.process import GatewayProcess
from gateway.config.settings import load_settings
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller, Response
from tests.fakes.redis_server import free_port
from tests.scenarios.world import CONFIDENT, EDGE, POLICY, UNSURE, World, digits, picture

EXILE = Caller(tenant="exile", vouched=True)
ELSEWHERE = Caller(tenant="elsewhere", vouched=True)
GATEWAYS = """\
endpoints:
  there-gw: {{tier: edge, region: there, protocol: {protocol}, address: '127.0.0.1:{port}'}}
"""
TEXT = (
    POLICY[: POLICY.index("endpoints:")].replace(
        "tenants:\n", "  third: {{regions: [third]}}\ntenants:\n  elsewhere: {{residency: third}}\n"
    )
    + GATEWAYS
    + POLICY[POLICY.index("routes:") :].replace("[central]", "[there-gw]")
).replace("there: {{serves: [NA]}}", "there: {{serves: [NA]}}, third: {{}}")


@asynccontextmanager
async def gateways(folder: Path, protocol: str, trusted: str) -> AsyncIterator[World]:
    """``here`` asks ``there``, which takes forwarded requests from the networks ``trusted``."""
    ports = {"http": free_port(), "grpc": free_port()}
    world = World(folder, protocol=protocol)
    world.write_policy(1, TEXT, port=ports[protocol])
    there = EDGE.format(repository=digits.EDGE_REPOSITORY, redis="").replace("region: here", "region: there")
    there = there.replace(
        "{http: '127.0.0.1:0', grpc: '127.0.0.1:0'",
        f"{{http: '127.0.0.1:{ports['http']}', grpc: '127.0.0.1:{ports['grpc']}'",
    )
    (folder / "there.yaml").write_text(f"{there}trusted_gateways: [{trusted}]\n")
    async with world, GatewayProcess(load_settings(folder / "there.yaml", {})).serving():
        yield world


async def ask(world: World, caller: Caller) -> Response:
    return await world.edge.generation()(
        picture(CONFIDENT, caller=caller, deadline=world.edge.clock.now() + 5)
    )


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_the_tenant_survives_the_way(tmp_path: Path, protocol: str) -> None:
    """A tenant that must be served there is: the other gateway knows whose request it is, and caches for him only."""
    async with gateways(tmp_path, protocol, "127.0.0.0/8") as world:
        first = await ask(world, EXILE)
        again = await ask(world, EXILE)

    assert (first.provenance.origin, first.provenance.region, first.provenance.certified) == (
        "edge",
        "there",
        True,
    )
    assert (first.provenance.level, again.provenance.level) == ("", "l1")


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_a_gateway_that_does_not_know_the_sender_refuses(
    tmp_path: Path, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Answered as anonymous, the request could go where its tenant's residency forbids. The log says why."""
    async with gateways(tmp_path, protocol, "192.0.2.0/24") as world:
        with pytest.raises(GatewayError, match="does not let this gateway in") as caught:
            await ask(world, EXILE)

    assert caught.value.fault is Fault.UNAVAILABLE
    assert "trusted_gateways" in caplog.text


async def test_a_missing_line_in_the_settings_of_another_region_costs_no_answer(tmp_path: Path) -> None:
    """With the only other gateway not letting us in, whoever may be served here still is, uncertified."""
    async with gateways(tmp_path, "grpc", "192.0.2.0/24") as world:
        request = picture(UNSURE, deadline=world.edge.clock.now() + 5)
        response = await world.edge.generation()(request)

    assert (response.provenance.origin, response.provenance.certified) == ("edge", False)


async def test_a_residency_nobody_can_serve_is_refused_at_once(tmp_path: Path) -> None:
    """No endpoint lies in the only allowed region: the other gateway is not asked to find that out."""
    async with gateways(tmp_path, "grpc", "127.0.0.0/8") as world:
        with pytest.raises(GatewayError, match="no endpoint of route 'digits' lies in an allowed region"):
            await ask(world, ELSEWHERE)
