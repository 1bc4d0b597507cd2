"""A Service over gRPC: another Edgeway, or any server that speaks the Open Inference Protocol."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any, Final

from gateway.core.catalog import IndexEntry, ModelSpec
from gateway.core.clock import Chance, Clock
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.offload import Here, Offload
from gateway.core.request import Request, Response
from gateway.core.tensor import Buffer
from gateway.core.verdict import Verdict
from gateway.http.client.backoff import Backoff
from gateway.http.client.dialer import UnreachableError
from gateway.http.client.http2_connection import (
    AnswerRefusedError,
    Http2ClientConnection,
    LateError,
    LostError,
    NotProcessedError,
    ResetError,
)
from gateway.http.client.http2_pool import Http2Pool
from gateway.http.client.tls import TlsSource
from gateway.http.framing.errors import AnswerTooLargeError, FramingError
from gateway.upstreams import oip_grpc_call as grpc_call
from gateway.upstreams.address_checks import check_all
from gateway.upstreams.checks import NoOwner, unreadable
from gateway.upstreams.connections import Connections
from gateway.upstreams.destination import destination_of
from gateway.upstreams.failures import HEAD_TOO_LARGE, LENIENCY_S, OUR_OWN, UNSENT, Failures
from gateway.upstreams.forwarding import provenance_of, request_headers, retry_after_s, timeout_s
from gateway.upstreams.http2_connections import client_of, limits_of
from gateway.upstreams.load import observe
from gateway.upstreams.oip_grpc_check import check_health
from gateway.upstreams.outgoing import PLAIN, Outgoing
from gateway.upstreams.rotation import Rotation
from gateway.upstreams.settings import GrpcUpstreamSettings
from gateway.upstreams.tls_refusals import HandshakeRefusedError
from gateway.upstreams.upstream import Upstream
from gateway.wire.faults import fault_of_grpc
from gateway.wire.grpc_framing import PREFIX, prefix
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip import proto_responses
from gateway.wire.oip.metadata import MAX_READ_BYTES
from gateway.wire.oip.passed_config import HERE_BYTES as CONFIG_HERE_BYTES
from gateway.wire.oip.passed_config import decode_config_message
from gateway.wire.oip.passed_index import decode_index_message
from gateway.wire.proto import messages

_log = logging.getLogger(__name__)

_MAX_MESSAGE_CHARS: Final = 200
_TOO_LARGE: Final = "message larger than max"
"""In the error messages of gRPC in C++, Python and Go, after "received"."""

_FAILED: Final = (
    grpc_call.StatusError,
    grpc_call.BrokenAnswerError,
    HandshakeRefusedError,
    ResetError,
    AnswerRefusedError,
    LateError,
    AnswerTooLargeError,
    NotProcessedError,
    UnreachableError,
    LostError,
    FramingError,
)
"""The ways in which a call ends without an answer."""


class GrpcUpstream:
    """One endpoint over HTTP/2 connections, opened on first use and reopened when lost.

    ``region`` is where its answers come from, unless they name a region themselves: those of Triton,
    KServe and others do not, and count as central and certified. An answer larger than
    ``max_message_bytes`` is a failure of the other side. ``tls``: how to encrypt; None: not at
    all. ``chance`` spreads attempts to connect. ``offload`` reads what would hold the loop.
    ``outgoing``: what all calls have in common.
    """

    def __init__(
        self,
        name: str,
        address: str,
        clock: Clock,
        *,
        region: str = "",
        max_message_bytes: int = 64 << 20,
        settings: GrpcUpstreamSettings | None = None,
        chance: Chance | None = None,
        tls: TlsSource | None = None,
        offload: Offload | None = None,
        outgoing: Outgoing = PLAIN,
    ) -> None:
        self._offload = offload or Here()
        self.name, self.address = name, address
        self._region, self._clock = region, clock
        self._outgoing, self._observer = outgoing, outgoing.on_load
        self._failures = Failures(name, outgoing.hidden)
        self._max_message_bytes = max_message_bytes
        self._settings = settings or GrpcUpstreamSettings()
        self._chance = chance or Random()  # noqa: S311 - jitter, not secrets
        host, _, port = address.rpartition(":")
        self._destination = destination_of(
            host.strip("[]"), int(port), self._settings, authority=address, outgoing=outgoing, tls=tls
        )
        self._dialer = self._destination.dialer
        self._dress()
        self._rotation = Rotation()
        self._rotation.watch(tls, self._take_tls)
        self._rotation.watch(outgoing.credential, self._take_credential)
        self._client = partial(client_of, self._settings, PREFIX + max_message_bytes, grpc_call.TEXTS)
        self._limits = limits_of(self._settings)
        self._connections = Connections(self._open, self._dialer, self._failures)

    def __repr__(self) -> str:
        return f"<GrpcUpstream {self.name} at {self.address}, {self._connections}>"

    async def __call__(self, request: Request) -> Response:
        """Ask the other side; cancelling the call cancels it there too."""
        with UNSENT:
            given_s = timeout_s(request, self._clock)
            body = oip_proto.encode_request_parts(request)
            more = self._outgoing.without_own(request.headers) if request.headers else ()
            metadata = (*request_headers(request).items(), *more)

        answer, trailing = await self._call(
            self._infer, *body, timeout_s=given_s, metadata=metadata, deadline=request.deadline
        )

        if self._observer is not None:
            observe(self._observer, trailing, is_refused=False)
        provenance = provenance_of(trailing, self._region)
        try:
            response = proto_responses.decode(answer, provenance)
            if response is None:
                response = await self._offload(proto_responses.reference, answer, provenance)
            return response
        except GatewayError as error:
            if error.fault in OUR_OWN:
                raise
            unread = unreadable(b"", error)
            raise (self._failures.unreadable(unread) if unread else self._failures.broken()) from error

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Ask the other side for a model's metadata."""
        body = messages.ModelMetadataRequest(name=model, version=version).SerializeToString()
        answer, _ = await self._call(self._metadata, body, timeout_s=self._settings.metadata_timeout_s)
        return oip_proto.decode_model(self._parse(messages.ModelMetadataResponse, answer))

    async def config(self, model: str, version: str) -> bytes:
        """Ask the other side for a model's configuration."""
        body = messages.ModelConfigRequest(name=model, version=version).SerializeToString()
        answer, _ = await self._call(self._config, body, timeout_s=self._settings.metadata_timeout_s)
        with self._failures.breaking():
            if len(answer) <= CONFIG_HERE_BYTES:
                return decode_config_message(answer)
            return await self._offload(decode_config_message, answer)

    async def index(self) -> Sequence[IndexEntry]:
        """Ask the other side what models it has."""
        answer, _ = await self._call(self._index, b"", timeout_s=self._settings.metadata_timeout_s)
        with self._failures.breaking(Fault.UNSUPPORTED):
            return decode_index_message(answer)

    async def is_ready(self, model: str, version: str) -> bool:
        """Ask the other side whether it would serve a model; one that cannot be reached would not."""
        body = messages.ModelReadyRequest(name=model, version=version).SerializeToString()
        try:
            answer, _ = await self._call(self._ready, body, timeout_s=self._settings.metadata_timeout_s)
            ready: bool = self._parse(messages.ModelReadyResponse, answer).ready
        except GatewayError as error:
            if error.fault is Fault.NOT_FOUND:
                raise
            return False
        return ready

    @property
    def refresh_s(self) -> float:
        """Seconds after which the name is looked up again (``dns_refresh_rate_s``)."""
        return self._settings.dns_refresh_rate_s

    async def aclose(self, grace_s: float | None = None) -> None:
        """Close the connections; calls under way get ``grace_s`` seconds to end, then UNAVAILABLE."""
        if pool := self._connections.close():
            await pool.aclose(grace_s)

    async def check(self) -> Verdict:
        """Ask over a connection of its own whether the server is ready: the others may lead nowhere.

        A server without gRPC's health service is checked by the protocol's own method.
        """
        return await check_all(self._dialer.addresses, self._check_at)

    async def _check_at(self, address: str) -> Verdict:
        try:
            connection = await self._dialer.reach(address, self._lone)
            try:
                await connection.ready
                verdict = await check_health(connection, self._method, self._failures)
            finally:
                connection.close()
        except (
            OSError,
            LostError,
            NotProcessedError,
            ResetError,
            AnswerRefusedError,
            AnswerTooLargeError,
            FramingError,
        ) as error:
            return self._failures.verdict(error)
        if verdict.why is None:
            self.hurry()
        return verdict

    @property
    def problems(self) -> tuple[str, ...]:
        """Why files of this endpoint are not in use as they are on disk."""
        return self._rotation.problems

    def move(self) -> bool:
        """Leave the addresses in use for others of the name, if there are some worth trying."""
        return self._connections.move()

    def renew(self) -> None:
        """Send what comes from now on over new connections."""
        self._connections.renew()

    def hurry(self) -> None:
        """Connect at once when the next request comes: the server answers."""
        self._connections.hurry()

    async def refresh(self) -> None:
        """Look the name up again, and leave the addresses that it has no longer; take files that changed."""
        await self._rotation.refresh()
        await self._connections.refresh()

    def _lone(self) -> Http2ClientConnection:
        return Http2ClientConnection(self._client(), self._limits, NoOwner())

    async def _call(
        self,
        method: tuple[tuple[bytes, bytes], ...],
        *body: Buffer,
        timeout_s: float,
        metadata: Sequence[tuple[str, str]] = (),
        deadline: float = math.inf,
    ) -> tuple[memoryview, dict[str, str]]:
        pool = self._connections.pool()
        size = sum(map(len, body))
        if size > self._settings.max_request_bytes:
            raise self._too_large().replaced(unsent=True)
        sent = [*method]
        ends = math.inf
        if timeout_s < math.inf:
            sent.append((b"grpc-timeout", grpc_call.timeout_value(timeout_s)))
            ends = self._clock.now() + timeout_s
        sent += [(name.encode(), value.encode()) for name, value in metadata]
        self._connections.running += 1
        try:
            answer = await pool.call(sent, (prefix(size), *body), ends)
            return grpc_call.read_answer(answer)
        except _FAILED as error:
            raise self._error(error, deadline, ends) from error
        finally:
            self._connections.running -= 1

    def _error(self, error: Exception, deadline: float, ends: float) -> GatewayError:
        match error:
            case grpc_call.StatusError():
                named = self._translate(error, deadline, ends)
            case LateError():
                late = grpc_call.StatusError(grpc_call.DEADLINE_EXCEEDED)
                named = self._translate(late, deadline, ends)
            case ResetError() if self._stands_for_a_status(error, ends):
                status = grpc_call.StatusError(grpc_call.code_of_reset(error.code))
                named = self._translate(status, deadline, ends)
            case HandshakeRefusedError():
                named = self._failures.handshake(error.found)
            case AnswerTooLargeError():
                named = self._failures.too_large(self._max_message_bytes)
            case AnswerRefusedError():
                named = self._failures.unreadable(str(error))
            case grpc_call.BrokenAnswerError():
                named = self._failures.broken()
            case NotProcessedError():
                # It goes away in good order, or has enough to do: no evidence, and another may answer.
                named = self._failures.closed()
            case FramingError() if HEAD_TOO_LARGE in str(error):
                named = self._failures.head_too_large()
            case _:
                _log.debug("endpoint %s: %r", self.name, error)
                named = self._connections.lost(error)
        return named

    def _stands_for_a_status(self, error: ResetError, ends: float) -> bool:
        code = grpc_call.code_of_reset(error.code)
        if code == grpc_call.CANCELLED:
            # Servers end late calls so; else it means no more than that the call is over.
            return self._clock.now() >= ends
        return code != grpc_call.INTERNAL

    def _too_large(self) -> GatewayError:
        return GatewayError(Fault.TOO_LARGE, f"the request is too large for endpoint '{self.name}'")

    def _translate(self, error: grpc_call.StatusError, deadline: float, ends: float) -> GatewayError:
        message = self._outgoing.hidden(printable(error.message, _MAX_MESSAGE_CHARS))
        _log.debug("endpoint %s: %s %s", self.name, error.code, message)
        fault = fault_of_grpc(error.code)
        if self._observer is not None:
            observe(self._observer, error.metadata, is_refused=error.code in grpc_call.REFUSED)
        if fault is Fault.OVERLOADED and _TOO_LARGE in message:
            return self._too_large()
        if fault is Fault.CANCELLED:
            if self._clock.now() < ends:
                return self._failures.cancelled(message)
            # Servers also end late calls so.
            fault = Fault.DEADLINE
        if fault is Fault.DEADLINE and self._clock.now() >= deadline - LENIENCY_S:
            return self._failures.late()
        status = grpc_call.name_of(error.code)
        return self._failures.of(fault, message, status=status, retry_after_s=retry_after_s(error.metadata))

    def _take_tls(self) -> None:
        self._failures.forget()
        self.renew()

    def _take_credential(self) -> None:
        self._failures.forget()
        self._dress()

    def _dress(self) -> None:
        """Encode the headers that all calls carry once, for all to come."""
        self._infer = self._method("ModelInfer")
        self._metadata = self._method("ModelMetadata")
        self._ready = self._method("ModelReady")
        self._config = self._method("ModelConfig")
        self._index = self._method("RepositoryIndex")

    def _method(self, name: str, service: str = messages.SERVICE) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that every call of a method begins with."""
        destination = self._destination
        return (
            (b":method", b"POST"),
            (b":scheme", destination.scheme.encode()),
            (b":path", f"{destination.path_prefix}/{service}/{name}".encode()),
            (b":authority", destination.authority.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"grpc-accept-encoding", b"identity"),
            *((name.encode(), value.encode()) for name, value in destination.pairs()),
        )

    def _open(self) -> Http2Pool:
        settings = self._settings
        return Http2Pool(
            self._dialer,
            Backoff(settings.backoff_initial_s, settings.backoff_max_s, self._chance),
            self._client,
            self._limits,
            evidence_of=grpc_call.evidence_of,
            connections=settings.connections,
            settings_timeout_s=settings.connect_timeout_s,
            idle_s=settings.idle_s,
        )

    def _parse(self, kind: Any, body: memoryview) -> Any:
        if len(body) > MAX_READ_BYTES:
            raise self._failures.broken()
        with self._failures.breaking():
            return oip_proto.parse(kind, bytes(body))


_: type[Upstream] = GrpcUpstream
