"""The extensions around models over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.listeners.oip.extensions import Extensions
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from tests.fakes.operator import BEARER, OPEN
from tests.gateway.listeners.oip.rest.requests import wire


async def test_management():
    """Configuration, statistics, index, logging and tracing are told; shared memory has no regions."""
    connection = wire(extensions=Extensions(logging=LogSettings(), tracing=TraceSettings()))

    config = (await connection.ask("GET", "/v2/models/digits/config")).json()
    stats = (await connection.ask("GET", "/v2/models/digits/stats")).json()
    tracing = (await connection.ask("GET", "/v2/models/digits/trace/setting")).json()
    logging = (await connection.ask("GET", "/v2/logging")).json()

    assert (config["name"], config["max_batch_size"], config["input"][0]["dims"]) == ("digits", 0, [-1, 2])
    zero = {"count": 0, "ns": 0}
    (found,) = stats["model_stats"]
    assert (found["name"], found["version"]) == ("digits", "1")
    names = "success fail queue compute_input compute_infer compute_output cache_hit cache_miss".split()
    assert found["inference_stats"] == dict.fromkeys(names, zero)
    assert tracing["trace_level"] == ["OFF"]
    assert tracing["trace_rate"] == "1"
    assert logging["log_file"] == ""
    assert (await connection.ask("GET", "/v2/models/stats")).json() == {"model_stats": []}
    assert (await connection.ask("POST", "/v2/repository/index", {"ready": True})).json() == []
    assert (await connection.ask("GET", "/v2/models")).json() == {"models": []}
    assert (await connection.ask("GET", "/v2/systemsharedmemory/status")).json() == []


async def test_changes_are_an_operators():
    """Settings of the process are changed on a public port only when its settings say so."""
    allowed = Extensions(logging=LogSettings(), tracing=TraceSettings(), **OPEN)

    async def order(path: str, body: Any = b"", headers: Mapping[str, str] = BEARER) -> Any:
        return await wire(extensions=allowed).ask("POST", path, body, headers)

    for path in ("/v2/trace/setting", "/v2/models/digits/trace/setting"):
        assert (await wire().ask("POST", path, {"trace_rate": 1}, BEARER)).status == 403
        assert (await order(path, {"trace_rate": 1})).status == 200
        assert (await order(path, {"trace_rate": 1}, {})).status == 401
        assert (await order(path, {"trace_rate": 1}, {**BEARER, "Origin": "null"})).status == 403
    for_one = await order("/v2/models/digits/trace/setting", {"trace_rate": 2})
    assert (for_one.status, "of all models" in for_one.body.decode()) == (501, True)
    assert (await wire().ask("POST", "/v2/logging", {"log_info": True})).status == 403
    assert (await order("/v2/logging", {"log_nothing": True})).status == 400
    assert (await order("/v2/repository/models/m/load")).status == 404
    assert (await order("/v2/repository/models/m/unload", {})).status == 404
    bad = {"parameters": {"unload_dependents": 3}}
    assert (await order("/v2/repository/models/m/unload", bad)).status == 400
