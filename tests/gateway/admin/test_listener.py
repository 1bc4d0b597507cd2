"""The admin port."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from gateway.admin.listener import AdminListener


@pytest.fixture
async def admin():
    """An admin listener whose readiness the test owns."""
    state: dict[str, Any] = {"ready": True}

    async def health() -> dict[str, Any]:
        return state

    async def metrics() -> bytes:
        return b"edgeway_up 1\n"

    async def policy() -> dict[str, Any]:
        return {"generation": 3, "error": ""}

    listener = AdminListener(health=health, metrics=metrics, policy=policy)
    await listener.start("127.0.0.1", 0)
    yield listener, state
    await listener.aclose()
    assert repr(listener) == "<AdminListener closed>"


async def fetch(listener: AdminListener, path: str, method: str = "GET") -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{listener.port}{path}") as answer,
    ):
        return answer.status, await answer.text()


async def test_alive_as_long_as_it_answers(admin) -> None:
    """/healthz only says that the process answers."""
    assert await fetch(admin[0], "/healthz") == (200, '{"live":true}\n')


async def test_readiness_follows_the_gateway(admin) -> None:
    """/readyz is 503 while the gateway is not ready."""
    listener, state = admin

    assert (await fetch(listener, "/readyz"))[0] == 200
    state["ready"] = False
    assert await fetch(listener, "/readyz") == (503, '{"ready":false}\n')


async def test_metrics_and_policy_are_shown(admin) -> None:
    """/metrics is Prometheus text, /policy tells the generation in force."""
    assert await fetch(admin[0], "/metrics") == (200, "edgeway_up 1\n")
    assert await fetch(admin[0], "/policy") == (200, '{"generation":3,"error":""}\n')


async def test_reports_take_no_orders(admin) -> None:
    """Nothing is changed but by the routes that are made for it."""
    assert (await fetch(admin[0], "/policy", "POST"))[0] == 405
    assert (await fetch(admin[0], "/quit", "POST"))[0] == 404
