"""Reading HTTP/1.1 answers off a socket, exactly as they come, bounded in time and bytes."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Final

from gateway.commands.conformance.check import Broken

MAX_HEAD: Final = 64 << 10
MAX_BODY: Final = 64 << 20
_CHUNK: Final = 64 << 10
_BODILESS: Final = frozenset({204, 304})


class WireError(Exception):
    """No whole answer came; the message says why."""


class ClosedError(WireError):
    """The server closed the connection before an answer was whole."""


class PatienceError(WireError):
    """The server took longer than an exchange may."""


class ResetByPeerError(ClosedError):
    """The server reset the connection."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One final answer; ``interim`` are the 1xx statuses that came before it."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    interim: tuple[int, ...] = ()
    version: str = "HTTP/1.1"

    def header(self, name: str) -> str:
        """Return the header's values, joined by commas; empty when it is not there."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            Broken: when it is none.
        """
        return parse_json(self.body)

    def object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            Broken: when it is none.
        """
        read = self.json()
        if not isinstance(read, dict):
            raise Broken(f"the body is a JSON {type(read).__name__}, not an object")
        return read

    @property
    def closes(self) -> bool:
        """Whether the server says that the connection ends with this answer."""
        options = {option.strip().lower() for option in self.header("Connection").split(",")}
        return "close" in options or (self.version == "HTTP/1.0" and "keep-alive" not in options)


def parse_json(body: bytes) -> Any:
    """Return ``body`` as JSON.

    Raises:
        Broken: when it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Broken(f"the body is not JSON ({type(error).__name__}): {body[:80]!r}") from None


class Reader:
    """The answers of one connection; nothing is read after ``deadline`` (time.monotonic)."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = bytearray()

    def __repr__(self) -> str:
        return f"<Reader {len(self._buffer)} bytes unread>"

    def answer(self, method: str) -> HttpAnswer:
        """Read the next final answer, to a request with ``method``.

        Raises:
            WireError: when none comes, or what comes is not HTTP.
        """
        interim: list[int] = []
        while True:
            version, status, headers = self._head()
            if status >= 200 or status == 101:
                break
            interim.append(status)
        answer = HttpAnswer(status, headers, b"", tuple(interim), version)
        if method == "HEAD" or status in _BODILESS or status == 101:
            return answer
        return HttpAnswer(status, headers, self._body(answer), tuple(interim), version)

    def rest(self) -> str:
        """Wait until the deadline for what else comes: ``more`` bytes, the end (``closed``), or nothing."""
        if self._buffer:
            return "more"
        try:
            return "more" if self._fill() else "closed"
        except ResetByPeerError:
            return "closed"
        except PatienceError:
            return "open"

    def until(self, deadline: float) -> None:
        """Be patient until another time than before."""
        self._deadline = deadline

    def _head(self) -> tuple[str, int, tuple[tuple[str, str], ...]]:
        head = self._until(b"\r\n\r\n", MAX_HEAD).decode("latin-1")
        first, *lines = head.split("\r\n")
        version, _, rest = first.partition(" ")
        status = rest[:3]
        if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdecimal()):
            raise WireError(f"what came is not an HTTP/1.1 status line: {first[:80]!r}")
        pairs = (line.partition(":") for line in lines)
        return version, int(status), tuple((name, value.strip()) for name, _, value in pairs)

    def _body(self, answer: HttpAnswer) -> bytes:
        if "chunked" in answer.header("Transfer-Encoding").lower():
            return self._chunks()
        length = answer.header("Content-Length")
        if length:
            if not (length.isascii() and length.isdecimal()):
                raise WireError(f"the answer's Content-Length is {length[:40]!r}")
            return self._exactly(int(length))
        parts = bytearray(self._buffer)
        self._buffer.clear()
        while self._fill():
            parts += self._buffer
            self._buffer.clear()
            if len(parts) > MAX_BODY:
                raise WireError(f"the answer is longer than {MAX_BODY} bytes")
        return bytes(parts)

    def _chunks(self) -> bytes:
        body = bytearray()
        while True:
            text = self._until(b"\r\n", 1024).split(b";")[0].strip()
            try:
                size = int(text, 16)
            except ValueError:
                raise WireError(f"the answer's chunk size is {text[:20]!r}") from None
            if size < 0 or len(body) + size > MAX_BODY:
                raise WireError(f"the answer is longer than {MAX_BODY} bytes")
            if not size:
                while self._until(b"\r\n", MAX_HEAD):
                    pass
                return bytes(body)
            body += self._exactly(size)
            self._exactly(2)

    def _until(self, mark: bytes, limit: int) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > limit:
                raise WireError(f"no end of a line or head within {limit} bytes")
            if not self._fill():
                raise ClosedError("the server closed the connection without a whole answer")
        taken = bytes(self._buffer[:end])
        del self._buffer[: end + len(mark)]
        return taken

    def _exactly(self, size: int) -> bytes:
        if size > MAX_BODY:
            raise WireError(f"the answer is longer than {MAX_BODY} bytes")
        while len(self._buffer) < size:
            if not self._fill():
                raise ClosedError("the server closed the connection inside a body")
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> bool:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise PatienceError("no whole answer within the time that an exchange may take")
        self._connection.settimeout(left)
        try:
            received = self._connection.recv(_CHUNK)
        except TimeoutError:
            raise PatienceError("no whole answer within the time that an exchange may take") from None
        except OSError as error:
            raise ResetByPeerError(
                f"the connection broke: {error.strerror or type(error).__name__}"
            ) from None
        self._buffer += received
        return bool(received)
