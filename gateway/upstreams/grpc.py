"""A Service over gRPC: another Edgeway, or any server that speaks the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable
from typing import Any, Final

import grpc
import grpc.aio

from gateway.core.catalog import Catalog, ModelSpec
from gateway.core.clock import Clock
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.request import ANONYMOUS, CENTRAL, Provenance, Request, Response
from gateway.core.service import Service
from gateway.upstreams.failures import LENIENCY_S, Failures
from gateway.wire import headers, oip_proto
from gateway.wire.arrival import regions_value
from gateway.wire.faults import fault_of_grpc
from gateway.wire.proto import messages

_log = logging.getLogger(__name__)

_OPTIONS: Final = (
    ("grpc.max_send_message_length", -1),
    # Retry owns the repeats: a second, hidden retry would multiply them.
    ("grpc.enable_retries", 0),
    # A server that is back is found within 2 s. The "minimum" is grpc's name for the time that one
    # attempt to connect may take: with the 100 ms of the back-off no far region could be reached.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
    ("grpc.min_reconnect_backoff_ms", 2000),
    # A name may point elsewhere when its server is back: grpc would ask again after 30 s only.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    # Finds a peer that is gone without a word. Only while calls run: servers with grpc's defaults
    # close connections that are probed when idle.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5000),
    # Two endpoints of one address keep two connections, and each its own state.
    ("grpc.use_local_subchannel_pool", 1),
)
_METADATA_TIMEOUT_S: Final = 5.0
_MAX_SAID: Final = 200
_TOO_LARGE: Final = "message larger than max"  # grpc's words in C++, Python and Go, after "received"
_TOO_LARGE_HERE: Final = "CLIENT: Received"  # the same, when it was the answer and our own limit


class GrpcUpstream:
    """One endpoint over one HTTP/2 connection, which grpc opens on first use and reopens when lost.

    Build it on the running loop. ``region`` is where answers are said to come from when the other side
    does not tell (Triton, KServe …); its answers then count as central and certified. An answer larger
    than ``max_message_bytes`` is a failure of the other side.
    """

    def __init__(
        self, name: str, address: str, clock: Clock, *, region: str = "", max_message_bytes: int = 64 << 20
    ) -> None:
        self._name, self._address, self._region, self._clock = name, address, region, clock
        self._failures = Failures(name)
        limit = ("grpc.max_receive_message_length", max_message_bytes)
        self._channel: Any = grpc.aio.insecure_channel(address, options=(*_OPTIONS, limit))
        self._infer = self._channel.unary_unary(f"/{messages.SERVICE}/ModelInfer")
        self._metadata = self._channel.unary_unary(f"/{messages.SERVICE}/ModelMetadata")
        self._ready = self._channel.unary_unary(f"/{messages.SERVICE}/ModelReady")
        self._running = 0
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<GrpcUpstream {self._name} at {self._address}, {state}, {self._running} running>"

    async def __call__(self, request: Request) -> Response:
        """Ask the other side; cancelling the call cancels it there too."""
        timeout_s = None
        if request.deadline < math.inf:
            left_s = request.deadline - self._clock.now()
            if left_s <= 0:
                raise GatewayError(Fault.DEADLINE, "the deadline passed before the request could be sent")
            timeout_s = left_s + LENIENCY_S
        body = oip_proto.encode_request(request).SerializeToString()

        answer, trailing = await self._call(
            self._infer, body, timeout=timeout_s, metadata=_metadata_of(request), deadline=request.deadline
        )

        message = self._parse(messages.ModelInferResponse, answer)
        try:
            return oip_proto.decode_response(message, self._provenance(trailing))
        except GatewayError as error:
            raise self._failures.broken() from error

    async def describe(self, model: str, version: str) -> ModelSpec:
        """Ask the other side for a model's metadata."""
        body = messages.ModelMetadataRequest(name=model, version=version).SerializeToString()
        answer, _ = await self._call(self._metadata, body, timeout=_METADATA_TIMEOUT_S)
        return oip_proto.decode_model(self._parse(messages.ModelMetadataResponse, answer))

    async def is_ready(self, model: str, version: str) -> bool:
        """Ask the other side whether it would serve a model; one that cannot be asked would not."""
        body = messages.ModelReadyRequest(name=model, version=version).SerializeToString()
        try:
            answer, _ = await self._call(self._ready, body, timeout=_METADATA_TIMEOUT_S)
            ready: bool = self._parse(messages.ModelReadyResponse, answer).ready
        except GatewayError as error:
            if error.fault is Fault.NOT_FOUND:
                raise
            return False
        return ready

    async def aclose(self, grace_s: float | None = None) -> None:
        """Close the connection; calls under way get ``grace_s`` seconds to end, then UNAVAILABLE."""
        self._closed = True
        await self._channel.close(grace_s)

    async def _call(
        self,
        method: Any,
        body: bytes,
        *,
        timeout: float | None,  # noqa: ASYNC109 - it travels to the other side as grpc-timeout
        metadata: tuple[tuple[str, str], ...] = (),
        deadline: float = math.inf,
    ) -> tuple[bytes, dict[str, str]]:
        self._running += 1
        call = None
        try:
            call = method(body, timeout=timeout, metadata=metadata)
            answer: bytes = await call
            return answer, _first_of_each(await call.trailing_metadata())
        except grpc.aio.AioRpcError as error:
            raise self._translate(error, deadline) from error
        except grpc.aio.UsageError as error:
            raise self._failures.closed() from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                # Nobody cancelled us: the channel was closed under the call. grpc says both alike.
                raise self._failures.closed() from None
            raise
        finally:
            self._running -= 1

    def _translate(self, error: Any, deadline: float) -> GatewayError:
        code, said = error.code(), printable(error.details() or "", _MAX_SAID)
        _log.debug("endpoint %s: %s %s", self._name, code, said)
        fault = fault_of_grpc(code.value[0])
        if fault is Fault.OVERLOADED and _TOO_LARGE in said:
            if _TOO_LARGE_HERE in said:
                return self._failures.broken()
            return GatewayError(Fault.TOO_LARGE, f"the request is too large for endpoint '{self._name}'")
        if fault is Fault.CANCELLED:
            # The other side gave up, as it does when it stops; our caller is still there.
            fault = Fault.UNAVAILABLE
        elif fault is Fault.DEADLINE and self._clock.now() >= deadline:
            return self._failures.late()
        return self._failures.of(fault, said, retry_after_s=_retry_after(error.trailing_metadata()))

    def _parse(self, kind: Any, body: bytes) -> Any:
        try:
            return oip_proto.parse(kind, body)
        except GatewayError as error:
            raise self._failures.broken() from error

    def _provenance(self, trailing: dict[str, str]) -> Provenance:
        told = headers.parse_provenance(
            trailing.get(headers.PROVENANCE, ""),
            trailing.get(headers.CERTIFIED, ""),
            trailing.get(headers.DIGEST, ""),
            trailing.get(headers.SERVED_BY, self._region),
        )
        return told or Provenance(CENTRAL, region=self._region)


def _metadata_of(request: Request) -> tuple[tuple[str, str], ...]:
    caller = request.caller
    metadata = [(headers.HOPS, str(request.hops + 1)), *request.trace]
    if caller.tenant != ANONYMOUS:
        metadata.append((headers.TENANT, caller.tenant))
    # Said even when it is not known: else the next gateway would take this one for the client.
    metadata.append((headers.FORWARDED_FOR, caller.address or headers.UNKNOWN_ADDRESS))
    if request.regions is not None:
        metadata.append((headers.REGIONS, regions_value(request.regions)))
    for name, value in metadata:
        if not (value.isascii() and value.isprintable()):
            raise GatewayError(Fault.INVALID, f"{name} must be printable ASCII")
    return tuple(metadata)


def _first_of_each(metadata: Iterable[tuple[str, Any]] | None) -> dict[str, str]:
    first: dict[str, str] = {}
    for name, value in metadata or ():
        if isinstance(value, str):
            first.setdefault(name, value)
    return first


def _retry_after(metadata: Iterable[tuple[str, Any]] | None) -> float | None:
    value = _first_of_each(metadata).get("retry-after", "")
    return float(value) if value.isascii() and value.isdecimal() and len(value) <= 6 else None


_: tuple[type[Service], type[Catalog]] = (GrpcUpstream, GrpcUpstream)
