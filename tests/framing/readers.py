"""What a server makes of a stream: its requests, and how it ended.

Each stream is a case and, behind it, one more request. A server that does not find that one where we do
reads the case as something else: that is what smuggling is made of.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import h11
from aiohttp import web

from gateway.core.clock import LoopClock
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, Application, BodyPolicy, Fields, Head
from gateway.http.server.listener import HttpListener
from tests.fakes.redis_server import free_port

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
WAITS_S = 0.5
"""A server that has said nothing more for so long waits for more of what it reads."""


class Message(NamedTuple):
    """One request; ``mark``: what the proxy in front says that it sent."""

    method: str
    target: str
    body: bytes
    mark: str = ""

    def __str__(self) -> str:
        received = "" if self.target == "/" else f" {self.method} {self.target[:20]}"
        body = f" {self.body[:20].decode('latin-1')!r}" if self.body else ""
        return f"200{received}{body}"


class Reading(NamedTuple):
    """``end``: a status of refusal, ``closed``, ``waits``, or nothing when all was read."""

    messages: tuple[Message, ...]
    end: str

    @property
    def case(self) -> tuple[Message, ...]:
        """What the case was read as, without the request behind it."""
        return tuple(message for message in self.messages if message.target != "/next")

    @property
    def unmarked(self) -> tuple[Message, ...]:
        """The case as whoever reads it without a proxy would have it."""
        return tuple(message._replace(mark="") for message in self.case)

    def __str__(self) -> str:
        ends = self.end if self.end != "closed" or not self.case else ""
        return ", ".join([*map(str, self.case), *([ends] if ends else [])]) or "nothing"


Reader = Callable[[bytes], Awaitable[Reading]]


async def _talk(port: int, stream: bytes, read: list[Message]) -> Reading:
    """Send a stream and the request behind it; return what the server noted and said."""
    read.clear()
    received, end = b"", "closed"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(stream + NEXT)
        async with asyncio.timeout(WAITS_S):
            while part := await reader.read(1 << 16):
                received += part
    except TimeoutError:
        end = "waits"
    except ConnectionError:
        pass
    finally:
        writer.close()
    refused = [status for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received) if status >= b"400"]
    if any(message.target == "/next" for message in read):
        end = ""
    return Reading(tuple(read), refused[-1].decode() if refused else end)


class _Application(Application):
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.read: list[Message] = []

    def open(self, head: Head) -> BodyPolicy | Answer:
        return BodyPolicy(1 << 20)

    async def answer(self, head: Head, body: Buffer) -> Answer:
        self.read.append(Message(head.method, head.path, bytes(body), dict(head.headers).get("x-mark", "")))
        return Answer(200, Fields(), (b"",))

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        return Answer(status, Fields(), (message.encode(),))


@asynccontextmanager
async def _listening() -> AsyncIterator[tuple[int, list[Message]]]:
    application = _Application()
    listener = HttpListener(application, LoopClock())
    await listener.start("127.0.0.1", 0)
    try:
        yield listener.port, application.read
    finally:
        await listener.aclose()


@asynccontextmanager
async def ours() -> AsyncIterator[Reader]:
    """Our listener over a real socket."""
    async with _listening() as (port, read):
        yield lambda stream: _talk(port, stream, read)


async def by_h11(stream: bytes) -> Reading:
    """h11's server, which has no sockets."""
    connection, read, body = h11.Connection(h11.SERVER), list[Message](), b""
    connection.receive_data(stream + NEXT)
    request: h11.Request | None = None
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return Reading(tuple(read), "waits")
            if isinstance(event, h11.Request):
                request, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                read.append(Message(request.method.decode(), request.target.decode("latin-1"), body))
                if request.method == b"CONNECT":
                    return Reading(tuple(read), "closed")
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return Reading(tuple(read), "" if read[-1].target == "/next" else "closed")
                connection.start_next_cycle()
            else:
                return Reading(tuple(read), "closed")
    except h11.RemoteProtocolError as error:
        return Reading(tuple(read), str(error.error_status_hint))


@asynccontextmanager
async def aiohttp() -> AsyncIterator[Reader]:
    """aiohttp's server over a real socket."""
    read: list[Message] = []

    async def note(request: web.BaseRequest) -> web.Response:
        read.append(Message(request.method, request.raw_path, await request.read()))
        return web.Response()

    silent = logging.getLogger(__name__)
    silent.disabled = True
    server = web.Server(note, logger=silent, access_log=None)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield lambda stream: _talk(port, stream, read)
    finally:
        listening.close()
        await server.shutdown()
        await listening.wait_closed()


NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log /dev/null;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream edgeway {{ server 127.0.0.1:{upstream}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://edgeway; proxy_http_version 1.1; proxy_next_upstream off;
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Mark "$request_method $request_uri";
    }}
  }}
}}
"""
"""As its manual has a proxy that keeps its connections, over which a second request could slip in."""


def nginx_binary() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


@asynccontextmanager
async def nginx(folder: Path) -> AsyncIterator[Reader]:
    """nginx in front of our listener; what is noted is what reaches us."""
    binary = nginx_binary()
    assert binary is not None
    async with _listening() as (upstream, read):
        port = free_port()
        settings = folder / "nginx.conf"
        settings.write_text(NGINX.format(folder=folder, upstream=upstream, port=port))
        command = [binary, "-p", str(folder), "-c", str(settings)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            await _until_open(port, process)
            yield lambda stream: _talk(port, stream, read)
        finally:
            process.kill()
            process.wait()


async def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(30):
        while True:
            assert process.poll() is None, "nginx does not start"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
