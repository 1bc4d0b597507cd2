"""/endpoints of the admin port."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from gateway.admin.endpoint_routes import endpoint_routes
from gateway.admin.listener import AdminListener
from gateway.core.errors import Fault, GatewayError


class Endpoints:
    """Keeps orders; knows ``central`` alone."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, str, str]] = []

    async def listed(self) -> list[dict[str, Any]]:
        return [{"endpoint": "central"}]

    async def drain(self, endpoint: str, member: str) -> None:
        if endpoint != "central":
            raise GatewayError(Fault.NOT_FOUND, f"unknown endpoint '{endpoint}'")
        self.orders.append(("drain", endpoint, member))

    async def undrain(self, endpoint: str, member: str) -> None:
        self.orders.append(("undrain", endpoint, member))


@pytest.fixture
async def admin():
    async def nothing() -> dict[str, int]:
        return {}

    endpoints = Endpoints()
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=endpoint_routes(endpoints))
    await listener.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.port}") as session:
        yield session, endpoints
    await listener.aclose()


async def test_endpoints_are_listed_and_drained(admin) -> None:
    """As a whole with an empty body, or a member that the body names."""
    session, endpoints = admin
    async with session.get("/endpoints") as listed:
        assert await listed.json() == [{"endpoint": "central"}]
    for path, body in (
        ("/endpoints/central/drain", b""),
        ("/endpoints/central/drain", b'{"member": "a.test:80/10.0.0.1"}'),
        ("/endpoints/central/undrain", b"{}"),
    ):
        async with session.post(path, data=body) as answer:
            assert answer.status == 200

    assert endpoints.orders == [
        ("drain", "central", ""),
        ("drain", "central", "a.test:80/10.0.0.1"),
        ("undrain", "central", ""),
    ]


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"members": "a"}', b'{"member": 3}', b'{"member": "' + b"x" * 9999]
)
async def test_orders_that_are_none_change_nothing(admin, body: bytes) -> None:
    """They are refused, and the error says what a body may be."""
    session, endpoints = admin
    async with session.post("/endpoints/central/drain", data=body) as answer:
        assert answer.status == 400
        assert "member" in (await answer.json())["error"]

    assert endpoints.orders == []


async def test_what_is_not_there_is_404_and_reading_drains_nothing(admin) -> None:
    """A GET is no order."""
    session, endpoints = admin
    async with (
        session.post("/endpoints/other/drain") as unknown,
        session.get("/endpoints/central/drain") as read,
    ):
        assert (unknown.status, read.status) == (404, 405)

    assert endpoints.orders == []
