"""HTTP/1.1 under an upstream."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from gateway.core.clock import Chance
from gateway.core.tensor import Buffer
from gateway.http.client.backoff import Backoff
from gateway.http.client.dialer import UnreachableError
from gateway.http.client.http1_connection import ConnectionLostError, Http1ClientConnection
from gateway.http.client.http1_pool import Http1Pool
from gateway.http.framing.errors import AnswerTooLargeError, FramingError, HeadTooLargeError
from gateway.http.framing.http1_client import COMMON_NAMES, RequestHeadWriter, ResponseReader, spellings
from gateway.upstreams.connections import Connections
from gateway.upstreams.destination import Destination
from gateway.upstreams.failures import Failures, is_overload
from gateway.upstreams.http_wire import ALWAYS, CHECK_BYTES, Headers, UpstreamAnswer, UpstreamWire
from gateway.upstreams.outgoing import Pairs
from gateway.upstreams.settings import HttpUpstreamSettings
from gateway.wire import headers

_log = logging.getLogger("edgeway.upstreams")

_EXPECTED: Final = (
    headers.INFERENCE_HEADER_LENGTH,
    headers.CERTIFIED,
    headers.DIGEST,
    headers.GENERATION,
    headers.LOAD,
    headers.PROVENANCE,
    headers.SERVED_BY,
)
_NAMES: Final = {**COMMON_NAMES, **spellings(_EXPECTED)}
"""The headers that inference servers, and another Edgeway, have in most of their answers."""


class Http1Wire:
    """Connections that carry one request at a time; they are opened when needed."""

    def __init__(
        self,
        destination: Destination,
        settings: HttpUpstreamSettings,
        failures: Failures,
        *,
        max_body_bytes: int,
        chance: Chance,
    ) -> None:
        self._destination, self._settings, self._failures = destination, settings, failures
        self._max_body_bytes, self._chance = max_body_bytes, chance
        self.connections = Connections(self._open, destination.dialer, failures)
        self.dress()

    def __repr__(self) -> str:
        return f"<Http1Wire {self.connections}>"

    def dress(self) -> None:
        """Write the headers that all requests carry once, for all to come."""
        always = dict((*ALWAYS, *self._destination.pairs()))
        self._head = RequestHeadWriter(self._destination.authority, always)

    async def send(
        self, verb: str, path: str, sent: Headers, more: Pairs, body: Sequence[Buffer]
    ) -> UpstreamAnswer:
        """Send a request and return its answer; cancelling the call closes its connection."""
        pool = self.connections.pool()
        size = sum(map(len, body))
        target = self._destination.path_prefix + path
        head = self._head.encode(verb, target, sent, size if body else None, more)
        self.connections.running += 1
        try:
            answer = await pool.call(verb, head, body, size)
        except AnswerTooLargeError as error:
            raise self._failures.too_large(self._max_body_bytes) from error
        except HeadTooLargeError as error:
            raise self._failures.unreadable(str(error)) from error
        except (UnreachableError, ConnectionLostError, FramingError) as error:
            _log.debug("%r: %r", self._failures, error)
            raise self.connections.lost(error) from error
        finally:
            self.connections.running -= 1
        return UpstreamAnswer(answer.status, answer.headers, answer.body)

    async def ask(self, address: str, path: str) -> UpstreamAnswer:
        """GET ``path`` from ``address``, over a connection of its own."""
        head = self._head.encode("GET", self._destination.path_prefix + path, {}, None)
        reader = ResponseReader(max_head_bytes=self._settings.max_head_bytes, max_body_bytes=CHECK_BYTES)
        connection = await self._destination.dialer.reach(
            address, lambda: Http1ClientConnection(reader, _ignore, _ignore)
        )
        try:
            answer = await connection.send("GET", head, (), 0)
        finally:
            connection.close()
        return UpstreamAnswer(answer.status, answer.headers, answer.body)

    async def aclose(self) -> None:
        """Close the connections; calls under way fail."""
        if pool := self.connections.close():
            await pool.aclose()

    def _open(self) -> Http1Pool:
        settings = self._settings
        return Http1Pool(
            self._destination.dialer,
            Backoff(settings.backoff_initial_s, settings.backoff_max_s, self._chance),
            connections=settings.connections,
            keepalive_s=settings.keepalive_s,
            is_overload=is_overload,
            max_head_bytes=settings.max_head_bytes,
            max_body_bytes=self._max_body_bytes,
            names=_NAMES,
        )


def _ignore(_connection: Http1ClientConnection) -> None: ...


_: type[UpstreamWire] = Http1Wire
