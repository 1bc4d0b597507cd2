"""The HTTP listener: aiohttp's connections, our router and answers, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
from email.utils import formatdate
from typing import Final

from aiohttp import hdrs, web

from gateway.listeners.front import Front
from gateway.listeners.http_answers import JSON, SERVER, Answer, render_lines
from gateway.listeners.http_endpoints import Endpoints
from gateway.listeners.settings import HttpSettings
from gateway.wire.oip_metadata import encode_error

_log = logging.getLogger(__name__)

_MALFORMED: Final = encode_error("the request is not as HTTP has it")
_INTERNAL: Final = encode_error("internal error")
_LAST_BYTES_S: Final = 0.1  # aiohttp takes 0 for "wait for ever"


class HttpListener:
    """Serves the protocol's HTTP paths on one port.

    Built on aiohttp's low-level server, without an Application: its router and middlewares would cost
    more than a cache hit does.
    """

    def __init__(self, front: Front, settings: HttpSettings | None = None) -> None:
        self._settings = settings or HttpSettings()
        self._endpoints = Endpoints(front, self._settings)
        self._server: _Server | None = None
        self._socket: asyncio.Server | None = None
        self._running = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.port = 0

    def __repr__(self) -> str:
        state = "closed" if self._server is None else "draining" if self._draining else "open"
        return f"<HttpListener {state} on port {self.port}, {self._running} running>"

    async def start(self, host: str, port: int) -> None:
        """Listen; ``port`` 0 takes a free one, to be read from ``self.port``.

        Raises:
            OSError: the address cannot be listened on.
        """
        settings = self._settings
        server = _Server(
            self._answer,
            # A client that leaves cancels its request, all the way down.
            handler_cancellation=True,
            auto_decompress=False,
            access_log=None,
            keepalive_timeout=settings.keepalive_timeout_s,
            lingering_time=settings.lingering_s,
        )
        loop = asyncio.get_running_loop()
        self._socket = await loop.create_server(server, host, port, backlog=settings.backlog)
        self._server = server
        self.port = self._socket.sockets[0].getsockname()[1]

    async def stop_accepting(self) -> None:
        """Accept no new connection; those that are open close after their next answer."""
        self._draining = True
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def aclose(self, grace_s: float = 0.0) -> None:
        """Wait at most ``grace_s`` seconds for the requests under way, cancel the rest, close all."""
        await self.stop_accepting()
        server, self._server = self._server, None
        if server is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        try:
            async with asyncio.timeout_at(end):
                await self._idle.wait()
        except TimeoutError:
            _log.warning("%d HTTP requests are cut off after %g s", self._running, grace_s)
        server.pre_shutdown()
        await server.shutdown(max(_LAST_BYTES_S, end - loop.time()))

    async def _answer(self, request: web.BaseRequest) -> Answer:
        self._running += 1
        self._idle.clear()
        try:
            response = await self._endpoints(request)
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
        if self._draining:
            response.force_close()
        return response


class _Server(web.Server):
    """Makes our kind of connections."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """A connection whose malformed requests get our kind of answer.

    aiohttp's own would repeat the malformed bytes, in plain text, under the version numbers of Python
    and aiohttp.
    """

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Parse; a body that is being read when its framing breaks is not waited for any longer."""
        super().data_received(data)
        reading = self._current_request
        # Behind a body that has not ended nothing can be queued but the parser's error.
        if reading is not None and self._messages and not reading.content.is_eof():
            reading.content.set_exception(web.RequestPayloadError("broken framing"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's text, which repeats the client's bytes
    ) -> Answer:
        """Answer what never became a request, or failed outside of its handler; the connection ends."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is already on its way")
        if status < 500 or isinstance(exc, ConnectionError):
            _log.debug("a connection ends: %s", type(exc).__name__)
        else:
            _log.error("an HTTP request failed outside of its handler", exc_info=exc)
        said: dict[str, str] = {
            hdrs.CONTENT_TYPE: JSON,
            hdrs.SERVER: SERVER,
            hdrs.DATE: formatdate(usegmt=True),
        }
        answer = Answer(status, render_lines(said), (_MALFORMED if status < 500 else _INTERNAL,))
        answer.force_close()
        return answer
