"""The yardstick: the smallest aiohttp application that reads a body and answers from memory."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

ANSWER = bytes(300)


async def infer(request: web.Request) -> web.Response:
    """Read the body and answer."""
    await request.read()
    return web.Response(body=ANSWER, content_type="application/octet-stream")


def main() -> None:
    """Serve on the port named on the command line."""
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/v2/models/{model}/infer", infer)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
