"""Calls between the processes of one gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from gateway.admin.listener import AdminListener
from gateway.admin.management_routes import json_handler
from gateway.app.workers.ipc import NO_ANSWER, NOT_LISTENING, call
from gateway.core.errors import Fault, GatewayError
from tests.fakes.operator import nothing


@pytest.fixture
async def process(tmp_path: Path):
    """The socket of a process that echoes, refuses, fails and sleeps."""

    async def echo(request: web.Request) -> bytes:
        return await request.read()

    async def refuse(_request: web.Request) -> bytes:
        raise GatewayError(Fault.UNSUPPORTED, "not here")

    is_over = asyncio.Event()

    async def sleep(_request: web.Request) -> bytes:
        await is_over.wait()
        return b""

    more = [
        web.post("/echo", json_handler(echo)),
        web.get("/refuse", json_handler(refuse)),
        web.get("/sleep", json_handler(sleep)),
    ]
    listener = AdminListener(health=nothing, metrics=nothing, policy=nothing, more=more)
    await listener.start_at(str(tmp_path / "a.sock"))
    yield tmp_path / "a.sock"
    # A listener that closes waits for its handlers.
    is_over.set()
    await listener.aclose()


async def test_answer(process: Path) -> None:
    """What was sent comes back."""
    assert await call(process, "/echo", b"word", limit_s=10) == b"word"


async def test_error_is_raised_as_it_was(process: Path) -> None:
    """Fault and words; of an answer that is none of ours only the status is known."""
    with pytest.raises(GatewayError) as refused:
        await call(process, "/refuse", limit_s=10)
    assert (refused.value.fault, refused.value.message) == (Fault.UNSUPPORTED, "not here")

    with pytest.raises(GatewayError) as strange:
        await call(process, "/elsewhere", limit_s=10)
    assert (strange.value.fault, strange.value.message) == (
        Fault.INTERNAL,
        "another process answered 404",
    )


async def test_no_answer(process: Path, tmp_path: Path) -> None:
    """A process that is not there and one that is silent raise different errors; neither is waited for."""
    with pytest.raises(NOT_LISTENING):
        await call(tmp_path / "b.sock", "/echo", limit_s=10)

    async with asyncio.timeout(30):
        with pytest.raises(NO_ANSWER) as silent:
            await call(process, "/sleep", limit_s=0.05)
    assert not isinstance(silent.value, NOT_LISTENING)
