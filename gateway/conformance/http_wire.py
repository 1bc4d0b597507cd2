"""HTTP/1.1 exchanges with any method, header and body; each is bounded in time and bytes."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.conformance.verdicts import Violation

Headers = Iterable[tuple[str, str]]
MAX_BODY: Final = 64 << 20


class WireError(Exception):
    """No whole answer came; the message says why."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request; ``Host`` is added, and with a body its length, or its chunks if it is in parts."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return the header's values, joined by commas; empty when it is not there."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            Violation: when it is none.
        """
        return parse_json(self.body)

    def object(self) -> dict[str, Any]:
        """Return the body as a JSON object.

        Raises:
            Violation: when it is none.
        """
        read = self.json()
        if not isinstance(read, dict):
            raise Violation(f"the body is a JSON {type(read).__name__}, not an object")
        return read


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a server listens: ``http[s]://host[:port][/prefix]``, read."""

    host: str
    port: int
    prefix: str = ""
    tls: bool = False

    @classmethod
    def of(cls, url: str) -> ServerAddress:
        """Read a URL; ``host:port`` alone means http.

        Raises:
            ValueError: when it is none.
        """
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"'{url}' is not a URL such as http://127.0.0.1:8000")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), parts.path.rstrip("/"), tls)

    def __str__(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class HttpWire:
    """Exchanges with the server at an address; none takes longer than ``timeout_s``."""

    def __init__(self, address: ServerAddress, timeout_s: float = 10.0) -> None:
        self.address = address
        self.timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"<HttpWire {self.address}, {self.timeout_s:g} s>"

    def ask(self, request: HttpRequest) -> HttpAnswer:
        """Exchange one request on a connection of its own.

        Raises:
            WireError: when no whole answer comes.
        """
        return self.in_turn(request)[0]

    def in_turn(self, *requests: HttpRequest) -> list[HttpAnswer]:
        """Exchange requests one after the other on one connection of their own.

        Raises:
            WireError: when one of them gets no whole answer.
        """
        deadline = time.monotonic() + self.timeout_s
        try:
            with self._connected() as connection:
                return [self._exchange(connection, request) for request in requests]
        except (OSError, HTTPException) as error:
            reason = str(error) or type(error).__name__
            if time.monotonic() >= deadline:
                reason = f"no whole answer within {self.timeout_s:g} s"
            raise WireError(reason) from None

    def abandon(self, request: HttpRequest, size: int) -> None:
        """Send a request up to ``size`` bytes of its body, and end the connection.

        Raises:
            WireError: when the server cannot be connected to.
        """
        assert isinstance(request.body, bytes)
        with self._connected() as connection, suppress(OSError):
            self._head(connection, request)
            connection.endheaders(request.body[:size])

    def _exchange(self, connection: HTTPConnection, request: HttpRequest) -> HttpAnswer:
        if connection.sock is None:
            raise WireError("the server had ended the connection with the answer before")
        self._head(connection, request)
        # A server may answer, and close, before it has read everything.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(request.body, encode_chunked=isinstance(request.body, tuple))
        response = connection.getresponse()
        if (response.length or 0) > MAX_BODY:
            raise WireError(f"the answer is longer than {MAX_BODY} bytes")
        # With a limit, http.client takes half a body for a whole one.
        body = response.read(MAX_BODY + 1) if response.length is None else response.read()
        if len(body) > MAX_BODY:
            raise WireError(f"the answer is longer than {MAX_BODY} bytes")
        response.close()
        return HttpAnswer(response.status, tuple(response.getheaders()), body)

    def _head(self, connection: HTTPConnection, request: HttpRequest) -> None:
        target = self.address.prefix + request.target
        connection.putrequest(request.method, target, skip_accept_encoding=True)
        for name, value in request.headers:
            connection.putheader(name, value)
        if isinstance(request.body, tuple):
            connection.putheader("Transfer-Encoding", "chunked")
        elif request.body is not None:
            connection.putheader("Content-Length", str(len(request.body)))

    @contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        host, port = self.address.host, self.address.port
        if self.address.tls:
            context = ssl.create_default_context()
            connection: HTTPConnection = HTTPSConnection(host, port, timeout=self.timeout_s, context=context)
        else:
            connection = HTTPConnection(host, port, timeout=self.timeout_s)
        try:
            connection.connect()
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise WireError(f"cannot connect to {self.address}: {reason}") from None
        # The socket's own timeout is for one read: a server that sends a byte at a time never reaches it.
        cutter = Timer(self.timeout_s, _cut, (connection.sock,))
        cutter.start()
        try:
            yield connection
        finally:
            cutter.cancel()
            connection.close()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def parse_json(body: bytes) -> Any:
    """Return ``body`` as JSON.

    Raises:
        Violation: when it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Violation(f"the body is not JSON ({type(error).__name__}): {body[:80]!r}") from None
