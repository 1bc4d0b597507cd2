"""The stacks of a running gateway, as its admin port shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from gateway.app.gateway import Gateway
from tests.scenarios.world import CONFIDENT, UNSURE, World


async def stacks_of(gateway: Gateway) -> dict[str, Any]:
    assert gateway.servers.admin is not None
    url = f"http://127.0.0.1:{gateway.servers.admin.port}/stack"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        shown: dict[str, Any] = await response.json()
        return shown


async def test_stacks_show_their_state(tmp_path: Path) -> None:
    """Every layer of the route in order, with what it holds after some requests."""
    async with World(tmp_path) as world:
        before = await stacks_of(world.edge)
        await world.ask(CONFIDENT)
        await world.ask(UNSURE)

        shown = await stacks_of(world.edge)

    assert shown["generation"] == 1
    assert [layer["role"] for layer in shown["shared"]] == [
        *("provenance", "measure", "drain", "admission", "routes"),
    ]
    route = shown["routes"]["digits"]
    assert [layer["role"] for layer in route] == [
        *("residency", "deadline", "cache look-up", "single flight", "cache fill"),
        *("cascade", "retry", "router"),
    ]
    assert [layer["role"] for layer in route[0]["branches"]["abroad"]] == ["deadline", "retry", "router"]
    assert [layer["role"] for layer in shown["endpoints"]["central"]] == [
        *("load", "breaker", "bulkhead", "attempt timeout", "answer check", "endpoint classes", "upstream"),
    ]
    assert "0 small" in before["routes"]["digits"][4]["filter"]
    assert "2 small" in route[4]["filter"]
    assert all(layer["reason"] for layer in [*route, *shown["shared"], *shown["endpoints"]["central"]])
    assert " object at 0x" not in str(shown)
