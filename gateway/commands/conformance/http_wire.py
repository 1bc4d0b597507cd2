"""An HTTP/1.1 client that sends whatever it is told to, well-formed or not, and reads what comes back."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.commands.conformance.http_answer import (
    ClosedError,
    HttpAnswer,
    PatienceError,
    Reader,
    ResetByPeerError,
    WireError,
)

Headers = Iterable[tuple[str, str]]
QUIET_S: Final = 0.4
"""Seconds after the last expected answer in which a server may close, or say too much."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens: ``http[s]://host[:port][/prefix]``, read."""

    host: str
    port: int
    prefix: str = ""
    tls: bool = False

    @classmethod
    def of(cls, url: str) -> Place:
        """Read a URL; ``host:port`` alone means http.

        Raises:
            ValueError: when it is none.
        """
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"'{url}' is not a URL such as http://127.0.0.1:8000")
        tls = parts.scheme == "https"
        return cls(parts.hostname, parts.port or (443 if tls else 80), parts.path.rstrip("/"), tls)

    @property
    def authority(self) -> str:
        """What belongs into ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Conversation:
    """The answers that one connection gave, and how it stood ``QUIET_S`` later.

    ``end`` is ``closed``, ``open``, ``more`` (something came that was not asked for), or ``silent``: still
    open, and an answer that was due had not come.
    """

    answers: tuple[HttpAnswer, ...]
    end: str
    trouble: str = ""

    @property
    def statuses(self) -> tuple[int, ...]:
        """The answers' statuses, in order."""
        return tuple(answer.status for answer in self.answers)


class HttpWire:
    """Every exchange has a connection of its own and ends within ``timeout_s``."""

    def __init__(self, place: Place, timeout_s: float = 10.0) -> None:
        self.place = place
        self.timeout_s = timeout_s
        self._tls = ssl.create_default_context() if place.tls else None

    def __repr__(self) -> str:
        return f"<HttpWire {self.place.authority}, {self.timeout_s:g} s>"

    def render(self, method: str, target: str, headers: Headers = (), body: bytes | None = None) -> bytes:
        """Write a well-formed request; ``Host`` and, with a body, ``Content-Length`` are added."""
        lines = [f"{method} {self.place.prefix}{target} HTTP/1.1", f"Host: {self.place.authority}"]
        lines += [f"{name}: {value}" for name, value in headers]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join((*lines, "", "")).encode("latin-1") + (body or b"")

    def ask(self, method: str, target: str, headers: Headers = (), body: bytes | None = None) -> HttpAnswer:
        """Send one well-formed request and return its answer.

        Raises:
            WireError: when no whole answer comes.
        """
        deadline = time.monotonic() + self.timeout_s
        with self._connect() as connection:
            self._send(connection, self.render(method, target, headers, body), deadline)
            return Reader(connection, deadline).answer(method)

    def converse(
        self, raw: bytes, methods: Sequence[str] = ("GET",), quiet_s: float = QUIET_S
    ) -> Conversation:
        """Send bytes as they are; read at most one answer for each of ``methods``.

        Raises:
            WireError: when the server cannot be connected to.
        """
        deadline = time.monotonic() + self.timeout_s
        answers: list[HttpAnswer] = []
        with self._connect() as connection:
            with suppress(ClosedError):  # a server may refuse before it has read everything
                self._send(connection, raw, deadline)
            reader = Reader(connection, deadline)
            try:
                for method in methods:
                    answers.append(reader.answer(method))
                    if answers[-1].closes:
                        return Conversation(tuple(answers), "closed")
                reader.until(min(deadline, time.monotonic() + quiet_s))
                return Conversation(tuple(answers), reader.rest())
            except ClosedError as error:
                return Conversation(tuple(answers), "closed", str(error))
            except PatienceError as error:
                return Conversation(tuple(answers), "silent", str(error))
            except WireError as error:
                return Conversation(tuple(answers), "open", str(error))

    def _connect(self) -> socket.socket:
        place = self.place
        try:
            connection = socket.create_connection((place.host, place.port), timeout=self.timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                return connection
            return self._tls.wrap_socket(connection, server_hostname=place.host)
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise WireError(f"cannot connect to {place.authority}: {reason}") from None

    @staticmethod
    def _send(connection: socket.socket, raw: bytes, deadline: float) -> None:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            connection.sendall(raw)
        except TimeoutError:
            raise PatienceError("the server did not read the request") from None
        except OSError:
            raise ResetByPeerError("the server broke the connection while the request was sent") from None
