"""GET /stack."""

from __future__ import annotations

import aiohttp

from gateway.admin.listener import AdminListener
from gateway.admin.stack_routes import stack_routes


async def test_stacks_are_shown_as_json() -> None:
    """What the report says now, and nothing but GET."""
    reports = [{"generation": 1}, {"generation": 2}]

    async def report() -> dict[str, int]:
        return reports.pop(0)

    async def nothing() -> dict[str, int]:
        return {}

    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=stack_routes(report))
    await listener.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.port}/stack"
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as first, session.get(url) as second, session.post(url) as post:
            assert first.content_type == "application/json"
            assert (await first.json(), await second.json()) == ({"generation": 1}, {"generation": 2})
            assert post.status == 405
    await listener.aclose()
