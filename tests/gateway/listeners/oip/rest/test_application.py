"""The REST application over its seam: paths, refusals, what becomes of errors and of clients that leave."""

from __future__ import annotations

import asyncio

import pytest

from gateway.http.exchange import Answer, BodyPolicy
from gateway.listeners.oip.extensions import Extensions
from tests.fakes.data_plane import EchoService
from tests.fakes.operator import BEARER, OPEN
from tests.fakes.service import HANG, ScriptedService
from tests.gateway.listeners.oip.rest.requests import INFER, binary, listed, wire


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/x/nowhere", 404),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
        ("DELETE", "/v2/health/live", 405),
        ("POST", "/v2/models/digits/stats", 405),
        ("GET", "/v2/models/unknown", 404),
        ("GET", "/v2/models/digits/versions/9", 404),
        ("GET", "/v2/models/unknown/config", 404),
        ("GET", "/v2/models/unknown/stats", 404),
        ("POST", "/v2/models/unknown/generate", 404),
        ("POST", "/v2/systemsharedmemory/region/r/register", 501),
        ("POST", "/v2/repository/models/m/load", 403),
        ("POST", "/v2/repository/models/m/unload", 403),
        ("GET", "/v2/" + "x" * 300, 404),
    ],
)
async def test_refusals_are_json(method, path, status):
    """Every refusal is an object with the key ``error``."""
    reply = await wire().ask(method, path, b"{}" if method == "POST" else b"")

    assert (reply.status, list(reply.json())) == (status, ["error"])
    assert reply.headers["content-type"] == "application/json"
    assert ("allow" in reply.headers) is (status == 405)


async def test_twice_given_credential_is_refused():
    """A proxy that appends must not let its clients choose."""
    body, headers = binary()
    pairs = [*headers.items(), ("Authorization", "a"), ("Authorization", "b")]

    assert (await wire().ask("POST", INFER, body, pairs)).status == 400


@pytest.mark.parametrize(
    "pairs",
    [
        [("Inference-Header-Content-Length", "5"), ("inference-header-content-length", "5")],
        [("Inference-Header-Content-Length", "5, 5")],
        [("Content-Encoding", "identity"), ("Content-Encoding", "identity")],
        [("X-Request-Timeout-Ms", "5, 5")],
        [("X-Edgeway-Hops", "1, 1")],
        [("X-Edgeway-Tenant", "a, a")],
    ],
)
async def test_what_must_be_single_is_refused_in_whatever_form(pairs):
    body, headers = binary()
    headers = {name: value for name, value in headers.items() if name.lower() != pairs[0][0].lower()}

    assert (await wire().ask("POST", INFER, body, [*headers.items(), *pairs])).status == 400


async def test_bugs_are_not_told():
    """An unexpected exception is an internal error, without a word about what it was."""
    reply = await wire(ScriptedService(ZeroDivisionError("secret"))).ask("POST", INFER, listed())

    assert (reply.status, reply.error) == (500, "internal error")


async def test_client_that_leaves_cancels():
    """Cancelling the answer reaches the service."""
    service = ScriptedService(HANG)
    task = asyncio.ensure_future(wire(service).ask("POST", INFER, listed()))
    await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert service.running == 0


async def test_answers_that_wait():
    """A service that waits is waited for."""
    reply = await wire(ScriptedService(0.001)).ask("POST", INFER, listed())

    assert (reply.status, reply.waited) == (200, True)


async def test_caller_is_read_from_the_headers():
    """Tenant, hops and address count from a trusted peer, trace and deadline from anyone."""
    service = EchoService()
    headers = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Edgeway-Tenant": "clinic",
        "X-Edgeway-Hops": "1",
        "Authorization": "Bearer t",
        "traceparent": "00-ab",
        "tracestate": "a=b",
        "X-Request-Timeout-Ms": "5000",
    }

    await wire(service).ask("POST", INFER, listed(), headers)

    seen = service.last
    assert (seen.caller.address, seen.caller.tenant, seen.hops) == ("203.0.113.9", "clinic", 1)
    assert seen.trace == (("traceparent", "00-ab"), ("tracestate", "a=b"))
    assert seen.deadline < asyncio.get_running_loop().time() + 6


def test_refusals_of_the_connection():
    """A connection's own refusals are rendered alike, with a head and without."""
    reply = wire().application.refuse(None, 431, "too many headers")

    assert reply.status == 431
    assert b"too many headers" in bytes(reply.body[0])
    assert "<RestApplication" in repr(wire().application)


async def test_body_too_large():
    """413, in JSON."""
    body, headers = binary()

    assert (await wire(max_body_bytes=10).ask("POST", INFER, body, headers)).status == 413


@pytest.mark.parametrize(("verb", "most"), [("load", 16 << 20), ("unload", 64 << 10)])
async def test_a_stranger_cannot_make_a_load_be_read(verb, most):
    """What only an operator may say is refused by its head; an order to load may bring a model."""
    path = f"/v2/repository/models/m/{verb}"
    stranger, operator = (
        wire(),
        wire(extensions=Extensions(**OPEN)),
    )

    refused = stranger.application.open(stranger.head("POST", path, {}))
    intake = operator.application.open(operator.head("POST", path, BEARER))

    assert isinstance(refused, Answer)
    assert refused.status == 403
    assert intake == BodyPolicy(most)
