"""What all connections of a listener share."""

from __future__ import annotations

import asyncio

import pytest

from gateway.core.clock import LoopClock
from gateway.http.exchange import Answer, Fields
from gateway.http.server import context as module
from tests.fakes.application import FakeApplication
from tests.fakes.connection import FakeConnection, register
from tests.fakes.server_context import open_context


async def test_one_sweep_for_all(monkeypatch: pytest.MonkeyPatch):
    """Again and again, as long as the context is open."""
    monkeypatch.setattr(module, "SWEEP_S", 0.01)
    async with open_context() as context:
        known = FakeConnection()
        register(context.registry, context.address_limits, known)
        async with asyncio.timeout(30):
            while known.calls.count("sweep") < 3:
                await asyncio.sleep(0.005)
        context.registry.remove(known)


async def test_the_sweep_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch):
    """A head that was rendered is rendered anew when the Date header has changed."""
    monkeypatch.setattr(module, "SWEEP_S", 0.001)
    async with open_context() as context:
        head = context.response_heads.render(200, Fields())
        monkeypatch.setattr(LoopClock, "wall", lambda _clock: 4_070_908_800.0)
        async with asyncio.timeout(30):
            while context.response_heads.render(200, Fields()) == head:
                await asyncio.sleep(0.005)

        assert b"Thu, 01 Jan 2099" in context.response_heads.render(200, Fields())


@pytest.mark.parametrize("fallback", [module.EMPTY_ERROR, Answer(500, body=(b"sorry",), close=True)])
async def test_a_refusal_that_fails(fallback: Answer, caplog: pytest.LogCaptureFixture):
    """The client gets the fallback, the log the error."""

    class Silent(FakeApplication):
        def refuse(self, head, status, message):
            raise ZeroDivisionError("secret")

    async with open_context(Silent(), fallback=fallback) as context:
        answer = context.refusal(None, 400, "no")

    assert answer is fallback
    assert "secret" in caplog.text


async def test_repr_shows_the_state():
    """Whether it drains, and what is under way."""
    async with open_context() as context:
        known = FakeConnection()
        register(context.registry, context.address_limits, known)
        context.drain.begin()

        assert repr(context) == "<ServerContext draining, 1 connections, 0 running, 0 bytes buffered>"
        context.registry.remove(known)


@pytest.mark.parametrize("count", [0, 3])
async def test_closing_ends_every_connection(count: int):
    """And the sweep."""
    async with open_context() as context:
        everyone = [FakeConnection() for _ in range(count)]
        for known in everyone:
            register(context.registry, context.address_limits, known)
        before = len(asyncio.all_tasks())
        await context.aclose()

        assert all(known.calls == ["abort"] for known in everyone)
        assert len(asyncio.all_tasks()) == before - 1
