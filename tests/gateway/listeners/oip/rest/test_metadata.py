"""The server's and the models' metadata over HTTP."""

from __future__ import annotations

from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from tests.gateway.listeners.oip.rest.requests import wire


async def test_the_servers_name_is_the_settings():
    """Clients written for another server may look for its name."""
    named = Extensions(settings=ProtocolSettings(server_name="triton"))

    assert (await wire(extensions=named).ask("GET", "/v2")).json()["name"] == "triton"
    assert (await wire().ask("GET", "/v2")).json()["name"] == "edgeway"


async def test_health_and_metadata():
    """Bodies that every client accepts."""
    live = await wire().ask("GET", "/v2/health/live")
    ready = await wire().ask("GET", "/v2/health/ready")
    not_ready = await wire(ready=False).ask("GET", "/v2/health/ready")
    server = await wire().ask("GET", "/v2")
    model = await wire().ask("GET", "/v2/models/digits/versions/1")
    model_ready = await wire().ask("GET", "/v2/models/digits/ready")

    assert live.json() == {"live": True}
    assert ready.json() == {"ready": True, "live": True}
    assert (not_ready.status, not_ready.json()["ready"]) == (503, False)
    assert {"statistics", "classification"} <= set(server.json()["extensions"])
    assert model.json()["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert model_ready.json() == {"name": "digits", "ready": True}
