"""The generate extension."""

from __future__ import annotations

import asyncio
import gzip

import msgspec
import pytest

from gateway.core.telemetry import Refused
from tests.fakes.data_plane import EchoService
from tests.fakes.http import say, serving
from tests.fakes.telemetry import RecordingTelemetry
from tests.gateway.listeners.oip.rest.requests import wire


async def test_generate():
    """Fields become inputs and parameters, outputs become fields."""
    service = EchoService()

    reply = await wire(service).ask(
        "POST", "/v2/models/words/generate", {"t": "hello", "id": "r", "top": 3, "parameters": {"low": 1}}
    )

    assert reply.json() == {"model_name": "words", "model_version": "1", "id": "r", "t": "hello"}
    assert service.last.inputs[0].shape == (1, 1)
    assert dict(service.last.parameters) == {"top": 3, "low": 1}


async def test_generate_stream():
    """The same as one server-sent event."""
    body = gzip.compress(msgspec.json.encode({"x": [1, 2]}))
    headers = {"Content-Encoding": "gzip"}

    reply = await wire().ask("POST", "/v2/models/digits/generate_stream", body, headers)

    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.body == b'data: {"model_name":"digits","model_version":"1","x":[1.0,2.0]}\n\n'


@pytest.mark.parametrize(
    "fields", [{"x": ["a"]}, {"x": "a"}, {"x": [1, 2, 3]}, {"other": [1]}, {"id": 3}, {"x": {}}]
)
async def test_generate_refuses(fields):
    """Values that do not fit the model, and parameters that are none."""
    assert (await wire().ask("POST", "/v2/models/digits/generate", fields)).status == 400


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"{", {}, 400, "invalid"),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400, "invalid"),
        (b"{}", {"Content-Encoding": "br"}, 501, "501"),
        (b"{}", {"X-Request-Timeout-Ms": "soon"}, 400, "invalid"),
        (b"{}", [("Authorization", "a"), ("Authorization", "b")], 400, "invalid"),
    ],
)
@pytest.mark.parametrize("operation", ["generate", "generate_stream"])
async def test_refusals_are_counted_once(operation, body, headers, status, reason):
    """As those of infer requests are."""
    telemetry = RecordingTelemetry()

    reply = await wire(telemetry=telemetry).ask("POST", f"/v2/models/words/{operation}", body, headers)

    assert reply.status == status
    assert telemetry.events == [Refused("http", reason)]


async def test_the_time_limit_counts_from_the_request():
    """The header and the parameter: the shorter of both."""
    service = EchoService()
    began = asyncio.get_running_loop().time()

    await wire(service).ask(
        "POST",
        "/v2/models/words/generate",
        {"t": "hello", "parameters": {"timeout": 9_000_000}},
        {"X-Request-Timeout-Ms": "5000"},
    )

    assert began + 5 <= service.last.deadline <= asyncio.get_running_loop().time() + 5
    assert dict(service.last.parameters) == {}


@pytest.mark.parametrize("verb", ["generate", "generate_stream"])
@pytest.mark.parametrize("more", ["", "Content-Encoding: gzip\r\n"])
async def test_body_beyond_what_json_may_have_is_not_read(verb: str, more: str):
    """All of it is JSON; so much would be copied and dropped."""
    head = (
        f"POST /v2/models/digits/{verb} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {(4 << 20) + 1}\r\n\r\n"
    )

    async with serving(EchoService()) as listener:
        assert (await say(listener.port, head.encode())).status == 413
