"""The HTTP client under a store: what fails is a store's error, in one word."""

from __future__ import annotations

import pytest
from aiohttp import web

from cache.features.settings import StoreSettings
from cache.features.vectors import StoreError
from gateway.app.feature_http import http_send
from tests.fakes.redis_server import free_port


async def test_requests_and_answers() -> None:
    async def echo(request: web.Request) -> web.Response:
        body = await request.read()
        return web.Response(body=f"{request.method} {request.path_qs} ".encode() + body, status=201)

    application, port = web.Application(), free_port()
    application.router.add_route("*", "/{path:.*}", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    send = http_send("users", StoreSettings(http=f"http://127.0.0.1:{port}/x"))
    try:
        posted = await send.call("POST", "/x?y=1", {"accept": "*/*"}, b"body")
        got = await send.call("GET", "/ids", {}, b"")
        assert (posted.status, bytes(posted.body)) == (201, b"POST /x?y=1 body")
        assert bytes(got.body) == b"GET /ids "
        assert "content-type" in got.headers
    finally:
        await send.aclose()
        await runner.cleanup()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nobody_there(scheme: str) -> None:
    send = http_send("users", StoreSettings(http=f"{scheme}://127.0.0.1:{free_port()}"))
    with pytest.raises(StoreError, match="refused"):
        await send.call("POST", "/", {}, b"")
    await send.aclose()
