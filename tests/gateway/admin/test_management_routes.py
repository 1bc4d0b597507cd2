"""An operator's orders over plain HTTP."""

from __future__ import annotations

import json
import logging
from typing import Any

import aiohttp
import pytest

from gateway.admin.listener import AdminListener
from gateway.admin.management_routes import management_routes
from gateway.core.errors import Fault, GatewayError
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.operator import Loads, nothing


@pytest.fixture
async def ordered():
    """A listener that takes orders, and the loader behind it."""
    loads = Loads()
    listener = AdminListener(
        health=nothing,
        metrics=nothing,
        policy=nothing,
        more=management_routes(
            loads, LogSettings(["ordered"]), TraceSettings(loads.traced.append), index=loads.listed
        ),
    )
    await listener.start("127.0.0.1", 0)
    yield listener, loads
    await listener.aclose()
    logging.getLogger("ordered").setLevel(logging.NOTSET)


async def post(listener: AdminListener, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{listener.port}{path}", data=data, headers=headers) as answer,
    ):
        return answer.status, await answer.read()


async def test_loading_and_unloading(ordered) -> None:
    """A model's name comes out as it went in; success is an empty answer, as Triton's is."""
    listener, loads = ordered

    assert await post(listener, "/v2/repository/models/a%20b/load", {"parameters": {"config": "{}"}}) == (
        200,
        b"",
    )
    assert await post(listener, "/v2/repository/models/a%20b/unload", b"") == (200, b"")
    assert loads.done == [("load", "a b", {"config": "{}"}), ("unload", "a b", False)]


async def test_refusal_tells_its_fault(ordered) -> None:
    """The status is the table's, and another process can raise the same error again."""
    listener, loads = ordered
    loads.failure = GatewayError(Fault.NOT_FOUND, "no such model")

    status, body = await post(listener, "/v2/repository/models/x/unload")

    assert status == 404
    assert json.loads(body) == {"error": "no such model", "fault": "not_found"}


async def test_log_settings(ordered) -> None:
    """They are changed here; what is no setting, or no JSON, is refused."""
    listener, _ = ordered

    status, body = await post(listener, "/v2/logging", {"log_info": False, "log_warning": False})
    assert (status, json.loads(body)["log_warning"]) == (200, False)
    assert logging.getLogger("ordered").level == logging.ERROR
    assert (await post(listener, "/v2/logging", {"log_color": True}))[0] == 400
    assert (await post(listener, "/v2/logging", b"{"))[0] == 400


async def test_trace_settings(ordered) -> None:
    """One word or a list of them; what cannot be is refused."""
    listener, loads = ordered

    status, body = await post(listener, "/v2/trace/setting", {"trace_rate": 5, "trace_level": ["TIMESTAMPS"]})

    assert (status, json.loads(body)["trace_rate"]) == (200, ["5"])
    assert loads.traced == [5]
    assert (await post(listener, "/v2/trace/setting", {"trace_rate": "0"}))[0] == 400


async def test_index(ordered) -> None:
    """Every version of every model, or those that are ready."""
    listener, _ = ordered

    everything = json.loads((await post(listener, "/v2/repository/index", b""))[1])
    ready = json.loads((await post(listener, "/v2/repository/index", {"ready": True}))[1])

    assert everything[1] == {"name": "old", "version": "2", "state": "UNAVAILABLE", "reason": "unloaded"}
    assert ready == [{"name": "digits", "version": "1", "state": "READY", "reason": ""}]


async def test_web_page_gives_no_orders(ordered) -> None:
    """A browser says whose page sends what, and no other client does."""
    listener, loads = ordered

    status, _ = await post(listener, "/v2/repository/models/m/unload", b"", Origin="http://elsewhere")

    assert status == 403
    assert loads.done == []
