"""The admin port."""

from __future__ import annotations

import logging
from typing import Any

import aiohttp
import pytest

from gateway.admin.listener import AdminListener
from tests.fakes.application import connection


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


@pytest.mark.parametrize(
    "begins",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /policy HTTP/1.1\r\nHost: 127.0.0.1\r\nHost : x\r\n",
        b"GET /policy HTTP/9.9\r\n",
        b"GET /policy HTTP/1.1\r\nX: \x01\r\n",
        b"GET /policy HTTP/1.1\r\n" + b"X: y\r\n" * 300,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n",
    ],
)
async def test_what_cannot_be_read_is_not_logged(admin, begins: bytes, caplog) -> None:
    """It may hold a token; and whoever sends much of it must not fill the disk."""
    with caplog.at_level(logging.DEBUG):
        async with connection(admin[0].port) as (reader, writer):
            writer.write(begins + b"Authorization: Bearer the-token\r\n\r\n")
            await reader.read()
            writer.close()

    assert "the-token" not in caplog.text
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


async def test_fault_of_a_route_is_logged_with_its_traceback(caplog) -> None:
    """Whoever looks for it needs to know where it came from."""

    async def fails() -> dict[str, Any]:
        raise RuntimeError("a fault")

    async def metrics() -> bytes:
        return b""

    listener = AdminListener(health=fails, metrics=metrics, policy=fails)
    await listener.start("127.0.0.1", 0)
    assert (await fetch(listener, "/policy"))[0] == 500
    await listener.aclose()

    assert "RuntimeError: a fault" in caplog.text
