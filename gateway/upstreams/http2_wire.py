"""HTTP/2 under an upstream: all requests over a few connections, encrypted (h2) or not (prior knowledge)."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import partial
from typing import Final

from gateway.core.clock import Chance
from gateway.core.errors import GatewayError
from gateway.core.tensor import Buffer
from gateway.http.client.backoff import Backoff
from gateway.http.client.dialer import UnreachableError
from gateway.http.client.evidence import Evidence
from gateway.http.client.http2_connection import (
    AnswerRefusedError,
    Http2ClientConnection,
    LateError,
    LostError,
    NotProcessedError,
    ResetError,
)
from gateway.http.client.http2_pool import Http2Pool
from gateway.http.framing.errors import AnswerTooLargeError, FramingError
from gateway.http.framing.http2_client import CANCEL, Header, Http2Response
from gateway.upstreams.checks import NoOwner
from gateway.upstreams.connections import Connections
from gateway.upstreams.destination import Destination
from gateway.upstreams.failures import HEAD_TOO_LARGE, Failures
from gateway.upstreams.http2_connections import client_of, limits_of
from gateway.upstreams.http_wire import (
    ALWAYS,
    CHECK_BYTES,
    Headers,
    UpstreamAnswer,
    UpstreamWire,
    evidence_of,
)
from gateway.upstreams.outgoing import Pairs
from gateway.upstreams.settings import Http2Settings

_log = logging.getLogger("edgeway.upstreams")

_NO_BODY: Final = (b"",)
_FAILED: Final = (
    ResetError,
    AnswerRefusedError,
    AnswerTooLargeError,
    NotProcessedError,
    UnreachableError,
    LateError,
    LostError,
    FramingError,
)
"""The ways in which a call ends without an answer."""


class Http2Wire:
    """Connections that carry many requests at once; they are opened when needed."""

    def __init__(
        self,
        destination: Destination,
        settings: Http2Settings,
        failures: Failures,
        *,
        max_body_bytes: int,
        chance: Chance,
    ) -> None:
        self._destination, self._settings, self._failures = destination, settings, failures
        self._max_body_bytes, self._chance = max_body_bytes, chance
        self._limits = limits_of(settings)
        self.connections = Connections(self._open, destination.dialer, failures)
        self.dress()

    def __repr__(self) -> str:
        return f"<Http2Wire {self.connections}>"

    def dress(self) -> None:
        """Encode the headers that all requests carry once, for all to come."""
        begin = ((":scheme", self._destination.scheme), (":authority", self._destination.authority))
        self._first = _encoded(begin)
        self._always = _encoded((*ALWAYS, *self._destination.pairs()))

    async def send(
        self, verb: str, path: str, sent: Headers, more: Pairs, body: Sequence[Buffer]
    ) -> UpstreamAnswer:
        """Send a request and return its answer; cancelling the call resets its stream."""
        pool = self.connections.pool()
        found = self._headers(verb, path, (*sent.items(), *more))
        if body:
            found.append((b"content-length", b"%d" % sum(map(len, body))))
        self.connections.running += 1
        try:
            return _read(await pool.call(found, body or _NO_BODY, math.inf))
        except _FAILED as error:
            raise self._error(error) from error
        finally:
            self.connections.running -= 1

    async def ask(self, address: str, path: str) -> UpstreamAnswer:
        """GET ``path`` from ``address``, over a connection of its own."""
        connection = await self._destination.dialer.reach(
            address,
            lambda: Http2ClientConnection(client_of(self._settings, CHECK_BYTES), self._limits, NoOwner()),
        )
        try:
            await connection.ready
            _, answer = connection.send(self._headers("GET", path, ()), _NO_BODY, math.inf)
            return _read(await answer)
        finally:
            connection.close()

    async def aclose(self) -> None:
        """Close the connections; calls under way fail."""
        if pool := self.connections.close():
            await pool.aclose()

    def _headers(self, verb: str, path: str, sent: Pairs) -> list[Header]:
        target = (self._destination.path_prefix + path).encode()
        return [(b":method", verb.encode()), (b":path", target), *self._first, *self._always, *_encoded(sent)]

    def _error(self, error: Exception) -> GatewayError:
        match error:
            case AnswerTooLargeError():
                return self._failures.too_large(self._max_body_bytes)
            case AnswerRefusedError():
                return self._failures.unreadable(str(error))
            case NotProcessedError():
                # It goes away in good order, or has enough to do: no evidence, and another may answer.
                return self._failures.closed()
            case ResetError() if error.code == CANCEL:
                return self._failures.cancelled()
            case FramingError() if HEAD_TOO_LARGE in str(error):
                return self._failures.head_too_large()
        _log.debug("%r: %r", self._failures, error)
        return self.connections.lost(error)

    def _open(self) -> Http2Pool:
        settings = self._settings
        return Http2Pool(
            self._destination.dialer,
            Backoff(settings.backoff_initial_s, settings.backoff_max_s, self._chance),
            partial(client_of, settings, self._max_body_bytes),
            self._limits,
            evidence_of=_evidence_of,
            connections=settings.connections,
            settings_timeout_s=settings.connect_timeout_s,
            idle_s=settings.idle_s,
        )


def _encoded(pairs: Pairs) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in pairs]


def _read(answer: Http2Response) -> UpstreamAnswer:
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers.items()}
    return UpstreamAnswer(answer.status, found, answer.body)


def _evidence_of(answer: Http2Response) -> Evidence:
    return evidence_of(answer.status, _read(answer).headers)


_: type[UpstreamWire] = Http2Wire
