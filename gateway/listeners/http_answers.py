"""Writing HTTP answers: what every answer says about itself is rendered to bytes once.

aiohttp's own Response builds, fills and serializes a dictionary of headers per answer. For a cache hit
that is a third of the cost of answering, and the headers are nearly always the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from aiohttp import HttpVersion11, hdrs, web

from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Provenance
from gateway.core.tensor import Buffer
from gateway.wire import headers
from gateway.wire.faults import STATUSES
from gateway.wire.oip_json import Body
from gateway.wire.oip_metadata import encode_error

SERVER: Final = "edgeway"
JSON: Final = "application/json"
BINARY: Final = "application/octet-stream"

_REMEMBERED: Final = 1024  # provenances times generations in use at once; far fewer in practice
_CLOSED: Final = 499  # nginx's number for a client that left, which has no phrase


class Answer(web.StreamResponse):
    """An answer whose header lines are bytes already; aiohttp sends it and keeps the connection."""

    def __init__(self, status: int, lines: bytes, parts: Sequence[Buffer]) -> None:
        # Not super().__init__: it would build the dictionary that this class is there to avoid.
        self._status = status
        self._lines = lines
        self._parts = parts

    def __repr__(self) -> str:
        return f"<Answer {self._status}>"

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Take note of the request that is answered."""
        self._request = request
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - aiohttp's signature
        """Send everything in one piece."""
        request = self._request
        parts = self._parts
        is_newest = request.version >= HttpVersion11
        connection = b""
        if not self._keep_alive:
            connection = b"Connection: close\r\n"
        elif not is_newest:
            connection = b"Connection: keep-alive\r\n"
        head = b"HTTP/1.%d %s%b%bContent-Length: %d\r\n\r\n" % (
            is_newest,
            _status_line(self._status),
            self._lines,
            connection,
            sum(map(len, parts)),
        )
        await request.writer.write(b"".join((head, *parts)) if request.method != hdrs.METH_HEAD else head)


class Answers:
    """Builds the answers of one region."""

    def __init__(self, region: str, clock: Clock) -> None:
        self._region = region
        self._clock = clock
        self._stamp = lru_cache(_REMEMBERED)(self._render)
        self._second = 0
        self._date = b""

    def __repr__(self) -> str:
        return f"<Answers of {self._region or 'nowhere'}>"

    def inference(self, body: Body, provenance: Provenance, generation: int) -> Answer:
        """Answer an inference."""
        length = body.header_length
        if length is None:
            return Answer(200, self._stamp(generation, JSON, provenance) + self._dated(), body.parts)
        lines = b"%bInference-Header-Content-Length: %d\r\n%b" % (
            self._stamp(generation, BINARY, provenance),
            length,
            self._dated(),
        )
        return Answer(200, lines, body.parts)

    def json(
        self, body: bytes, generation: int, status: int = 200, extra: Mapping[str, str] | None = None
    ) -> Answer:
        """Answer with a small JSON body."""
        lines = self._stamp(generation, JSON, None) + self._dated()
        return Answer(status, lines + render_lines(extra) if extra else lines, (body,))

    def error(self, error: GatewayError, generation: int) -> Answer:
        """Answer with a fault's status; one that may pass says when to come again."""
        extra: dict[str, str] | None = None
        if error.retry_after_s is not None or error.fault is Fault.OVERLOADED:
            extra = {hdrs.RETRY_AFTER: str(max(1, math.ceil(error.retry_after_s or 0)))}
        return self.json(encode_error(error.message), generation, STATUSES[error.fault].http, extra)

    def _dated(self) -> bytes:
        second = int(self._clock.wall())
        if second != self._second:
            self._second = second
            self._date = render_lines({hdrs.DATE: formatdate(second, usegmt=True)})
        return self._date

    def _render(self, generation: int, content_type: str, provenance: Provenance | None) -> bytes:
        said = {
            hdrs.CONTENT_TYPE: content_type,
            hdrs.SERVER: SERVER,
            headers.SERVED_BY: self._region,
            headers.GENERATION: str(generation),
        }
        if provenance is not None:
            said[headers.PROVENANCE] = headers.provenance_value(provenance)
            said[headers.CERTIFIED] = "true" if provenance.certified else "false"
            if provenance.digest:
                said[headers.DIGEST] = provenance.digest
        return render_lines(said)


def render_lines(said: Mapping[str, str]) -> bytes:
    """Render header lines; what could end a line early is left out of it."""
    return "".join(f"{name}: {_line_safe(value)}\r\n" for name, value in said.items()).encode("ascii")


def _line_safe(value: str) -> str:
    if value.isascii() and value.isprintable():
        return value
    return "".join(char for char in value if char.isascii() and char.isprintable())


@lru_cache(maxsize=64)  # there are no more statuses than that
def _status_line(status: int) -> bytes:
    phrase = "Client Closed Request" if status == _CLOSED else HTTPStatus(status).phrase
    return f"{status} {phrase}\r\n".encode("ascii")
