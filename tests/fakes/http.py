"""A real HTTP listener on a free port, and a socket to say anything to it.

Example::

    async with serving(EchoService()) as listener:
        answer = await say(listener.port, b"GET /v2 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        answer.status, answer.headers["server"], answer.body
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.core.service import Service
from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings
from tests.fakes.data_plane import fake_data_plane
from tests.fakes.listener import listener_of


@asynccontextmanager
async def serving(
    service: Service, settings: TransportSettings | None = None, **changes: Any
) -> AsyncIterator[HttpListener]:
    """A listener before ``service``; ``changes`` are those of ``fake_data_plane``."""
    listener = listener_of(fake_data_plane(service, **changes), settings)
    await listener.start("127.0.0.1", 0)
    try:
        yield listener
    finally:
        await listener.aclose()


@dataclass
class ReadAnswer:
    """An HTTP answer as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    version: str = "HTTP/1.1"

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> str:
        """The message of a refusal, which is all that its body holds."""
        body = self.json
        assert list(body) == ["error"]
        message: str = body["error"]
        return message


async def read_answer(reader: asyncio.StreamReader, *, has_body: bool = True) -> ReadAnswer:
    """Read one answer; interim answers (1xx) are skipped."""
    while True:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("ascii")
        line, *lines = head[:-4].split("\r\n")
        version, status, _ = line.split(" ", 2)
        if int(status) >= 200:
            break
    pairs = [item.split(": ", 1) for item in lines]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs), "a header is given twice"
    body = await reader.readexactly(int(headers["content-length"])) if has_body else b""
    return ReadAnswer(int(status), headers, body, version)


async def say(port: int, *pieces: bytes, has_body: bool = True) -> ReadAnswer:
    """Send the pieces, each in a packet of its own, and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001 if len(pieces) > 1 else 0)
        return await read_answer(reader, has_body=has_body)
    finally:
        writer.close()


def post(path: str, body: bytes = b"", **headers: str) -> bytes:
    """A POST as bytes; underscores in header names stand for dashes."""
    return _head("POST", path, "1.1", {"Content_Length": str(len(body)), **headers}) + body


def get(path: str, verb: str = "GET", version: str = "1.1", **headers: str) -> bytes:
    """A request without a body as bytes."""
    return _head(verb, path, version, headers)


def _head(verb: str, path: str, version: str, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{verb} {path} HTTP/{version}\r\nHost: test\r\n{lines}\r\n".encode()


INFER = "/v2/models/digits/infer"
SMALL = b'{"inputs":[{"name":"image","datatype":"FP32","shape":[2],"data":[1,2]}]}'
"""The smallest valid body."""
