"""The client of warm fail-over, against servers that are no gateways (those are in test_warming_listener.py)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from cache.warming.messages import OFFER, SIGNATURE, Signer
from cache.warming.sender import WarmingError
from cache.warming.settings import WarmingSettings
from gateway.app import warming_links
from gateway.app.warming_links import WarmingLinks
from gateway.core.clock import LoopClock
from gateway.http.client.tls import trusting_context


@asynccontextmanager
async def link_to(answer: web.Response | None, timeout_s: float = 5.0) -> AsyncIterator[WarmingLinks]:
    """A link to a server that gives this answer to everything; None: it never ends one."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if answer is not None:
            return answer
        endless = web.StreamResponse()
        await endless.prepare(request)
        while True:
            await endless.write(b"x" * 65536)

    app = web.Application()
    app.router.add_post(OFFER, handle)
    app.router.add_post("/elsewhere", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    to = {"there": f"http://127.0.0.1:{runner.addresses[0][1]}"}
    settings = WarmingSettings(to=to, timeout_s=timeout_s)
    link = WarmingLinks("here", settings, Signer(b"s" * 32), trusting_context(), LoopClock())
    try:
        yield link
    finally:
        await link.aclose()
        await runner.cleanup()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (web.Response(body=b"\x93\x91\x00\x00\xa0"), "does not have this gateway's cache.key_secret"),
        (web.Response(headers={SIGNATURE: "0" * 64}), "does not have this gateway's cache.key_secret"),
        (web.Response(status=503, text="not\nnow"), r"answers 503: not"),
        (web.Response(status=307, headers={"Location": "/elsewhere"}), "answers 307"),
    ],
)
async def test_what_is_not_signed_is_no_answer(answer: web.Response, why: str) -> None:
    """So an impostor at the address gets keys, which say nothing, and never an answer; nobody is followed."""
    async with link_to(answer) as link:
        with pytest.raises(WarmingError, match=why):
            await link("there", OFFER, b"offer")


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many bytes, long before the time is over."""
    monkeypatch.setattr(warming_links, "MOST_BODY_BYTES", 1 << 20)
    async with link_to(None, timeout_s=60.0) as link:
        with pytest.raises(WarmingError, match="key_secret"):
            await link("there", OFFER, b"offer")


async def test_a_slow_answer_is_none() -> None:
    """It takes longer than the settings have it."""
    async with link_to(None, timeout_s=0.05) as link:
        with pytest.raises(WarmingError, match="no answer"):
            await link("there", OFFER, b"offer")
