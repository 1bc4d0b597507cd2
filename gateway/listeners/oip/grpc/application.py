"""The gRPC side of the protocol as an Application: which path is which call, statuses included."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable
from typing import Final

from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.service import Generation
from gateway.core.telemetry import Refused
from gateway.core.tensor import Buffer
from gateway.http.exchange import (
    Answer,
    AnyAnswer,
    Application,
    BodyPolicy,
    Fields,
    Head,
    PendingAnswer,
    RequestBody,
    StreamedAnswer,
)
from gateway.listeners.oip.data_plane import DataPlane
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.grpc.infer import Infer
from gateway.listeners.oip.grpc.statuses import Statuses
from gateway.listeners.oip.grpc.streams import Reflection, StreamInfer, Watch, streaming, timely
from gateway.listeners.oip.grpc.unary import HEALTH, Calls
from gateway.listeners.oip.inflater import Inflater
from gateway.listeners.oip.model_control import ModelControl
from gateway.listeners.oip.request_headers import RequestHeaders
from gateway.wire.faults import fault_of_http
from gateway.wire.grpc_framing import PREFIX, Unpacking, parse_timeout
from gateway.wire.oip.metadata import encode_error
from gateway.wire.proto import messages

Stream = Callable[[RequestBody, Unpacking, RequestHeaders, float], AsyncGenerator[list[Buffer], None]]

_log = logging.getLogger(__name__)

_INFER: Final = f"/{messages.SERVICE}/ModelInfer"
_STREAM: Final = f"/{messages.SERVICE}/ModelStreamInfer"
_TYPES: Final = frozenset({"application/grpc", "application/grpc+proto"})
_REFUSED: Final = Fields((b"content-type", b"application/json"))
_SMALL: Final = 64 << 10
"""Bytes of a message that asks about models: a name or two, and settings."""

_ENDLESS: Final = 1 << 62


class GrpcApplication(Application):
    """Answers gRPC calls over HTTP/2."""

    def __init__(self, front: DataPlane, extensions: Extensions | None = None) -> None:
        extensions = extensions or Extensions()
        self._front = front
        self._statuses = Statuses(front.region)
        self._infer = infer = Infer(front, self._statuses, extensions.settings)
        self._aside = Inflater(_SMALL, extensions.settings.inflate_ratio)
        calls = Calls(front, ModelControl(front, extensions))
        self._unary = calls.paths()
        self._streams: dict[str, Stream] = {
            _STREAM: StreamInfer(infer, front.generation),
            f"/{HEALTH}/Watch": Watch(calls, front.clock),
        }
        for version in ("v1", "v1alpha"):
            package = f"grpc.reflection.{version}"
            self._streams[f"/{package}.ServerReflection/ServerReflectionInfo"] = Reflection(package)
        small, whole = BodyPolicy(_SMALL + PREFIX), BodyPolicy(front.max_body_bytes + PREFIX)
        self._intakes = dict.fromkeys(self._unary, small) | {_INFER: whole}
        self._intakes |= dict.fromkeys(self._streams, BodyPolicy(_ENDLESS, is_stream=True))

    def __repr__(self) -> str:
        return f"<GrpcApplication of {self._front.region}>"

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Refuse what is no gRPC call, or none that is known; else say how its messages are taken."""
        if not head.is_http2:
            return _plain(505, "gRPC needs HTTP/2")
        if head.method != "POST":
            return _plain(405, "Method Not Allowed", (b"allow", b"POST"))
        kind = head.get("content-type")
        if kind not in _TYPES and kind.partition(";")[0].strip() not in _TYPES:
            return _plain(415, "the only message format of gRPC that is known here is proto")
        intake = self._intakes.get(head.path)
        if intake is None:
            error = GatewayError(Fault.UNSUPPORTED, "the method is not known here")
            return self._refused(error)
        # The model's name is in the body, which is not read for this.
        if head.path == _INFER and (full := self._front.refuse_when_full("", "")):
            return self._statuses.error(full, self._front.generation().number)
        return intake

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Answer a call that ``open`` let pass."""
        generation = self._front.generation()
        if head.path != _INFER:
            return self._wait(self._ask(head, body, generation), generation)
        try:
            answered = self._infer(head, body, generation)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            return self._failed(error, generation)
        return answered if isinstance(answered, Answer) else self._wait(answered, generation)

    def answer_stream(self, head: Head, body: RequestBody) -> AnyAnswer | PendingAnswer:
        """Answer a call whose messages come one by one."""
        generation = self._front.generation()
        return self._wait(self._converse(head, body), generation)

    async def _wait(self, pending: PendingAnswer, generation: Generation) -> AnyAnswer:
        try:
            return await pending
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            return self._failed(error, generation)

    async def _ask(self, head: Head, body: Buffer, generation: Generation) -> Answer:
        # Questions may ask other servers, which wants a task.
        await in_task()
        arrival = self._infer.arrival(head)
        packing, unpacking = self._infer.packing, self._small(arrival)
        coding = packing.coding(arrival)
        message = await self._unary[head.path](await unpacking.only(body))
        parts = packing.framed([message.SerializeToString()], coding)
        return Answer(200, packing.fields(coding), parts, (), self._statuses.ok(generation.number))

    def _small(self, arrival: RequestHeaders) -> Unpacking:
        return Unpacking(_SMALL, arrival.grpc_encoding, self._aside.inflate)

    async def _converse(self, head: Head, body: RequestBody) -> StreamedAnswer:
        # The first step of a stream may ask other servers, which wants a task.
        await in_task()
        arrival, path = self._infer.arrival(head), head.path
        front, packing, until = self._front, self._infer.packing, math.inf
        if arrival.grpc_timeout is not None:
            # It is the time of the call as a whole, however many messages it has.
            until = front.clock.now() + parse_timeout(arrival.grpc_timeout)
        unpacking = self._infer.unpacking(arrival) if path == _STREAM else self._small(arrival)
        answers = self._streams[path](body, unpacking, arrival, until)
        if until < math.inf:
            answers = timely(answers, until)
        coding = packing.coding(arrival)
        return streaming(answers, self._statuses, front.generation, packing=packing, coding=coding)

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:  # noqa: ARG002 - the seam's
        """Render a refusal of the connection's own as a status."""
        error = GatewayError(fault_of_http(status), message)
        return self._refused(error)

    def _refused(self, error: GatewayError) -> Answer:
        self._front.telemetry.emit(Refused("grpc", error.fault))
        return self._statuses.error(error, self._front.generation().number)

    def _failed(self, error: Exception, generation: Generation) -> Answer:
        """Render what went wrong: a status, and never a traceback."""
        if not isinstance(error, GatewayError):
            _log.error("a gRPC call failed unexpectedly", exc_info=error)
            error = GatewayError(Fault.INTERNAL, "internal error")
        return self._statuses.error(error, generation.number)


def _plain(status: int, message: str, *extra: tuple[bytes, bytes]) -> Answer:
    return Answer(status, _REFUSED, (encode_error(message),), extra)
