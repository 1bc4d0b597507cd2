"""A Service over HTTP: another Edgeway, or any server that speaks the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import Final
from urllib.parse import urlsplit

from gateway.core.catalog import IndexEntry, ModelSpec
from gateway.core.clock import Chance, Clock
from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.offload import HERE_BYTES, Here, Offload
from gateway.core.request import Provenance, Request, Response
from gateway.core.tensor import Buffer
from gateway.core.verdict import Verdict
from gateway.http.client.tls import FixedTls, TlsSource, trusting_context
from gateway.upstreams.abilities import Learner
from gateway.upstreams.address_checks import check_all
from gateway.upstreams.checks import is_ready, unreadable
from gateway.upstreams.destination import destination_of
from gateway.upstreams.failures import LENIENCY_S, OUR_OWN, UNSENT, Failures, is_overload
from gateway.upstreams.forwarding import provenance_of, request_headers, retry_after_s, timeout_s
from gateway.upstreams.http1_wire import Http1Wire
from gateway.upstreams.http2_wire import Http2Wire
from gateway.upstreams.http_wire import NO_ANSWER, Headers, UpstreamAnswer, UpstreamWire
from gateway.upstreams.load import REFUSED, observe
from gateway.upstreams.outgoing import PLAIN, Outgoing, Pairs
from gateway.upstreams.rotation import Rotation
from gateway.upstreams.settings import H2UpstreamSettings, HttpUpstreamSettings
from gateway.upstreams.tls_refusals import refusal_before_http
from gateway.upstreams.upstream import Upstream
from gateway.wire import headers
from gateway.wire.faults import fault_of_http
from gateway.wire.oip.json import (
    decode_response,
    encode_plain_request,
    encode_request,
    parse_header_length,
)
from gateway.wire.oip.metadata import BINARY, decode_error, decode_extensions, decode_model
from gateway.wire.oip.passed_config import HERE_BYTES as CONFIG_HERE_BYTES
from gateway.wire.oip.passed_config import decode_config
from gateway.wire.oip.passed_index import decode_index, decode_names
from gateway.wire.oip.paths import model_path
from gateway.wire.oip.values import is_long

_log = logging.getLogger(__name__)

_PATHS_KEPT: Final = 256
_LEARN_S: Final = 1.0
_LEARNED_S: Final = 60.0
_LEARN_AGAIN_S: Final = 5.0
_EMPTY: Final[Buffer] = b""
_FINAL: Final = frozenset({200, 404})
"""Statuses of the metadata that hold for long: they were read, or the server has none."""

_NO_SUCH_PATH: Final = frozenset({404, 405, 501})
_JSON: Final = {"content-type": "application/json"}


class HttpUpstream:
    """One endpoint over a pool of connections that are opened when needed.

    Nothing is opened before the first call. ``region`` is where its answers come from, unless they name a
    region themselves: those of Triton, KServe and others do not, and count as central and certified.
    ``tls``: how to encrypt where the URL is ``https``, None for the system's certificates. ``chance`` spreads
    attempts to connect. ``offload`` reads and writes much JSON.
    """

    def __init__(
        self,
        name: str,
        url: str,
        clock: Clock,
        *,
        region: str = "",
        max_body_bytes: int = 64 << 20,
        settings: HttpUpstreamSettings | H2UpstreamSettings | None = None,
        chance: Chance | None = None,
        tls: TlsSource | None = None,
        offload: Offload | None = None,
        outgoing: Outgoing = PLAIN,
    ) -> None:
        self._offload = offload or Here()
        self.name, self.url = name, url.rstrip("/")
        self._region, self._clock = region, clock
        self._outgoing = outgoing
        self._failures = Failures(name, outgoing.hidden)
        self._settings = settings or HttpUpstreamSettings()
        target = urlsplit(self.url)
        is_secure = target.scheme == "https"
        self._destination = destination_of(
            target.hostname or "",
            target.port or (443 if is_secure else 80),
            self._settings,
            authority=target.netloc,
            outgoing=outgoing,
            tls=(tls or FixedTls(trusting_context())) if is_secure else None,
            path_prefix=target.path,
        )
        wire = Http2Wire if isinstance(self._settings, H2UpstreamSettings) else Http1Wire
        self._wire: UpstreamWire = wire(
            self._destination,
            self._settings,  # type: ignore[arg-type] # each wire has settings of its own
            self._failures,
            max_body_bytes=max_body_bytes,
            chance=chance or Random(),  # noqa: S311 - jitter, not secrets
        )
        self._connections = self._wire.connections
        self._rotation = Rotation()
        self._rotation.watch(self._destination.tls, self._take_tls)
        self._rotation.watch(outgoing.credential, self._take_credential)
        self._path = lru_cache(_PATHS_KEPT)(model_path)
        self._observer = outgoing.on_load
        self._takes_binary = True
        self._learned_until = -math.inf
        self._learning = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<HttpUpstream {self.name} at {self.url}, {self._connections}>"

    async def __call__(self, request: Request) -> Response:
        """Ask the other side; cancelling the call closes its connection, which cancels it there too."""
        with UNSENT:
            sent = self._headers_of(request)
            if self._takes_binary:
                body = encode_request(request)
                sent[headers.INFERENCE_HEADER_LENGTH] = str(body.header_length)
            else:
                nan = self._settings.json_nan
                body = (
                    await self._offload(encode_plain_request, request, nan)
                    if is_long(request.inputs)
                    else encode_plain_request(request, nan)
                )
                sent["content-type"] = "application/json"
        path = self._path(request.model, request.version, "infer")

        more = self._outgoing.without_own(request.headers) if request.headers else ()

        status, received, answer = await self._send("POST", path, body.parts, sent, more)

        if self._observer is not None:
            observe(self._observer, received, is_refused=status in REFUSED)
        if status != 200:
            raise self._refused(status, received, answer, request.deadline)
        length: int | None = None
        try:
            length = parse_header_length(received.get(headers.INFERENCE_HEADER_LENGTH))
            return await self._read(answer, length, provenance_of(received, self._region))
        except GatewayError as error:
            if error.fault in OUR_OWN:
                raise
            unread = unreadable(memoryview(answer)[:length], error)
            raise (self._failures.unreadable(unread) if unread else self._failures.broken()) from error

    async def _read(self, answer: Buffer, length: int | None, provenance: Provenance) -> Response:
        json_bytes = len(answer) if length is None else length
        if json_bytes <= HERE_BYTES:
            return decode_response(answer, length, provenance)
        return await self._offload(decode_response, memoryview(answer), length, provenance)

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Ask the other side for a model's metadata."""
        status, received, answer = await self._get(model_path(model, version))
        if status != 200:
            raise self._refused(status, received, answer)
        with self._failures.breaking():
            return decode_model(answer)

    async def config(self, model: str, version: str) -> bytes:
        """Ask the other side for a model's configuration."""
        status, received, answer = await self._get(model_path(model, version, "config"))
        if status != 200:
            raise self._refused(status, received, answer)
        with self._failures.breaking():
            if len(answer) <= CONFIG_HERE_BYTES:
                return decode_config(answer)
            return await self._offload(decode_config, answer)

    async def index(self) -> Sequence[IndexEntry]:
        """Ask the other side what models it has; KServe lists their names alone."""
        status, received, answer = await self._get("/v2/repository/index", "POST", b"{}")
        read = decode_index
        if status in _NO_SUCH_PATH:
            status, received, answer = await self._get("/v2/models")
            read = decode_names
        if status != 200:
            raise self._refused(status, received, answer)
        with self._failures.breaking(Fault.UNSUPPORTED):
            return read(answer)

    async def is_ready(self, model: str, version: str) -> bool:
        """Ask the other side whether it would serve a model; one that cannot be reached would not."""
        try:
            status, received, answer = await self._get(model_path(model, version, "ready"))
        except GatewayError:
            return False
        if status == 404:
            raise self._refused(status, received, answer)
        return status == 200

    @property
    def has_learned(self) -> bool:
        """Whether the server's metadata have been read, or could not be a while ago."""
        return self._learned_until > -math.inf

    def forget(self) -> None:
        """Have the metadata read again before the next request: another server may answer it."""
        self._learned_until = -math.inf

    async def learn(self) -> None:
        """Read from the server's metadata whether it takes binary data; where they do not say so, it does.

        What was read holds until other metadata are read. A server that cannot be connected to is tried
        again with the next request: the one that answers then may be another.
        """
        await in_task()
        async with self._learning:
            if self._clock.now() < self._learned_until:
                return
            status, answer = 0, _EMPTY
            try:
                async with asyncio.timeout(min(_LEARN_S, self._settings.metadata_timeout_s)):
                    status, _, answer = await self._send("GET", "/v2", (), {})
            except TimeoutError:
                pass  # What is known stays, and is read again soon.
            except GatewayError as error:
                if error.why is None or error.why.reason != "reset":
                    return
            if status == 200:
                extensions = decode_extensions(answer)
                self._takes_binary = extensions is None or BINARY in extensions
            known_s = _LEARNED_S if status in _FINAL else _LEARN_AGAIN_S
            self._learned_until = self._clock.now() + known_s

    @property
    def refresh_s(self) -> float:
        """Seconds after which the name is looked up again (``dns_refresh_rate_s``)."""
        return self._settings.dns_refresh_rate_s

    async def aclose(self) -> None:
        """Close the connections; calls under way fail as UNAVAILABLE."""
        await self._wire.aclose()

    async def check(self) -> Verdict:
        """Ask over a connection of its own whether the server is ready: the others may lead nowhere."""
        return await check_all(self._destination.dialer.addresses, self._check_at)

    async def _check_at(self, address: str) -> Verdict:
        try:
            answer = await self._wire.ask(address, "/v2/health/ready")
        except NO_ANSWER as error:
            return self._failures.verdict(error)
        if is_ready(answer.status):
            self.hurry()
            return Verdict()
        if (found := refusal_before_http(answer.body)) is not None:
            return Verdict(self._failures.handshake(found).why)
        return self._failures.not_ready(decode_error(answer.body) or str(answer.status))

    @property
    def problems(self) -> tuple[str, ...]:
        """Why files of this endpoint are not in use as they are on disk."""
        return self._rotation.problems

    def move(self) -> bool:
        """Leave the addresses in use for others of the name, if there are some worth trying."""
        has_moved = self._connections.move()
        if has_moved:
            self.forget()
        return has_moved

    def renew(self) -> None:
        """Send what comes from now on over new connections, perhaps to another server."""
        self.forget()
        self._connections.renew()

    def hurry(self) -> None:
        """Connect at once when the next request comes: the server answers."""
        self._connections.hurry()

    async def refresh(self) -> None:
        """Look the name up again, and leave the addresses that it has no longer; take files that changed."""
        await self._rotation.refresh()
        if self._connections.opened is None:
            return
        await self._connections.refresh()
        if self.has_learned:
            await self.learn()

    async def _get(self, path: str, verb: str = "GET", *body: Buffer) -> UpstreamAnswer:
        try:
            await in_task()
            async with asyncio.timeout(self._settings.metadata_timeout_s):
                return await self._send(verb, path, body, _JSON if body else {})
        except TimeoutError as error:
            raise self._connections.lost(error) from error

    async def _send(
        self, verb: str, path: str, body: Sequence[Buffer], sent: Headers, more: Pairs = ()
    ) -> UpstreamAnswer:
        answer = await self._wire.send(verb, path, sent, more, body)
        if answer.headers.get("content-encoding", "identity") != "identity":
            # No request allows it.
            raise self._failures.broken()
        return answer

    def _take_tls(self) -> None:
        self._failures.forget()
        self.renew()

    def _take_credential(self) -> None:
        self._failures.forget()
        self._wire.dress()

    def _headers_of(self, request: Request) -> dict[str, str]:
        sent = {"content-type": "application/octet-stream", **request_headers(request)}
        given_s = timeout_s(request, self._clock)
        if given_s < math.inf:
            sent[headers.TIMEOUT_MS] = str(math.ceil(given_s * 1000))
        return sent

    def _refused(
        self, status: int, received: Headers, answer: Buffer, deadline: float = math.inf
    ) -> GatewayError:
        _log.debug("endpoint %s: status %d", self.name, status)
        if status == 400 and (found := refusal_before_http(answer)) is not None:
            raise self._failures.handshake(found)
        fault, wait_s = fault_of_http(status), retry_after_s(received)
        if wait_s is not None and is_overload(status, received):
            fault = Fault.OVERLOADED
        elif fault is Fault.CANCELLED:
            # Our caller is still there.
            return self._failures.cancelled(decode_error(answer))
        elif fault is Fault.DEADLINE and self._clock.now() >= deadline - LENIENCY_S:
            return self._failures.late()
        return self._failures.of(
            fault,
            decode_error(answer),
            status=str(status),
            retry_after_s=wait_s,
            may_count=status >= 500,
        )


_: tuple[type[Upstream], type[Learner]] = (HttpUpstream, HttpUpstream)
