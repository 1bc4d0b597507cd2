"""The protocol over gRPC as an Application: paths to their calls, errors to statuses."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.service import NumberedService
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
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.inflater import Inflater
from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from gateway.listeners.oip.grpc.health_ticker import HealthTicker
from gateway.listeners.oip.grpc.health_watch import HealthWatch
from gateway.listeners.oip.grpc.infer import INFER_PATH, GrpcInferCodec
from gateway.listeners.oip.grpc.packing import Packing
from gateway.listeners.oip.grpc.reflection import Reflection
from gateway.listeners.oip.grpc.statuses import Statuses
from gateway.listeners.oip.grpc.stream_infer import StreamInfer
from gateway.listeners.oip.grpc.streams import streaming, timely
from gateway.listeners.oip.grpc.unary import ADMIN, HEALTH, LOAD, OPERATORS, PROBES, UnaryCalls
from gateway.listeners.oip.inference_endpoint import InferenceEndpoint
from gateway.listeners.oip.model_control import MOST_ORDER_BYTES
from gateway.listeners.oip.request_headers import OipRequestHeaders, header_reader
from gateway.listeners.refusals import RefusalCounter, log_failure
from gateway.listeners.request_headers import given_request_id, with_request_id
from gateway.wire.faults import fault_of_http
from gateway.wire.grpc_framing import PREFIX, Unpacking, parse_timeout
from gateway.wire.oip.metadata import encode_error
from gateway.wire.proto import messages

Stream = Callable[[RequestBody, Unpacking, OipRequestHeaders, float], AsyncGenerator[list[Buffer], None]]

_log = logging.getLogger(__name__)

_INFER: Final = f"/{messages.SERVICE}/ModelInfer"
_STREAM: Final = f"/{messages.SERVICE}/ModelStreamInfer"
_WATCH: Final = f"/{HEALTH}/Watch"
_OPENED: Final = "opened"
_TYPES: Final = frozenset({"application/grpc", "application/grpc+proto"})
_REFUSED: Final = Fields((b"content-type", b"application/json"))
_SMALL: Final = 64 << 10
"""Bytes of a message of a call that is no inference: it holds names and settings."""

_ENDLESS: Final = 1 << 62


class _Opened(msgspec.Struct, frozen=True):
    """What a head means to one policy generation; ``is_limited``: its caller's limits are looked at.

    ``request_id``: the one that the client has given; empty: none.
    """

    generation: int
    body_policy: BodyPolicy
    caller: Caller
    is_limited: bool
    request_id: str


class GrpcApplication(Application):
    """Answers gRPC calls over HTTP/2."""

    def __init__(self, data_plane: DataPlane, extensions: Extensions | None = None) -> None:
        extensions = extensions or Extensions()
        self._data_plane, self._extensions = data_plane, extensions
        self._make_id = data_plane.make_request_id
        self._refusals = RefusalCounter(data_plane.telemetry, "grpc")
        self._statuses = Statuses(data_plane.region)
        self._packing = Packing(extensions.settings.compress_from_bytes)
        most = min(data_plane.max_body_bytes, MOST_ORDER_BYTES)
        self._small = _SMALL, Inflater(_SMALL, extensions.settings.inflate_ratio).inflate
        self._order = most, Inflater(most, extensions.settings.inflate_ratio).inflate
        inflater = Inflater(data_plane.max_body_bytes, extensions.settings.inflate_ratio)
        self._codec = codec = GrpcInferCodec(
            data_plane.max_body_bytes,
            self._statuses,
            self._packing,
            inflater,
            data_plane.offload,
            class_rules=extensions.class_rules,
        )
        self._reader = reader = header_reader(data_plane, self._refusals, is_grpc=True)
        self._infer = InferenceEndpoint(data_plane, codec, reader, self._refusals)
        calls = UnaryCalls(data_plane, extensions, reader)
        self._ticker = _ticker(calls, extensions.settings)
        self._unary = calls.paths()
        self._stream_infer = StreamInfer(self._infer, codec, data_plane.generation)
        self._streams: dict[str, Stream] = {
            _WATCH: HealthWatch(calls, self._ticker),
        }
        for version in ("v1", "v1alpha"):
            package = f"grpc.reflection.{version}"
            self._streams[f"/{package}.ServerReflection/ServerReflectionInfo"] = Reflection(package)
        small, whole = BodyPolicy(_SMALL + PREFIX), BodyPolicy(data_plane.max_body_bytes + PREFIX)
        self._body_policies = dict.fromkeys(self._unary, small) | {_INFER: whole}
        self._body_policies[LOAD] = BodyPolicy(most + PREFIX)
        self._body_policies |= dict.fromkeys((_STREAM, *self._streams), BodyPolicy(_ENDLESS, is_stream=True))

    def __repr__(self) -> str:
        return f"<GrpcApplication of {self._data_plane.region}>"

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Refuse what is no gRPC call or none that is known, and unknown callers.

        Else return how the messages are taken.
        """
        generation = self._data_plane.generation()
        opened: _Opened | None = head.notes.get(_OPENED)
        if opened is None or opened.generation != generation.serial:
            first = self._open(head, generation)
            if not isinstance(first, _Opened):
                return with_request_id(first, given_request_id(head))
            opened = head.notes[_OPENED] = first
        # The model's name is in the body, which is not read for this.
        if opened.is_limited and (refusal := self._data_plane.over_limit(opened.caller, "", "")):
            return with_request_id(self._statuses.error(refusal, generation.number), opened.request_id)
        if head.path == _WATCH and (full := self._watch_refusal(head)):
            return with_request_id(self._refused(full), opened.request_id)
        return opened.body_policy

    def _watch_refusal(self, head: Head) -> GatewayError | None:
        """Return why one more call may not watch the health, before a stream is made of it."""
        try:
            return self._ticker.refusal(self._reader.read(head).caller.address)
        except GatewayError as error:
            return error

    def _open(self, head: Head, generation: NumberedService) -> _Opened | Answer:
        """Look at a head for the first time, or for the first time in this generation."""
        if not head.is_http2:
            return _plain(505, "gRPC needs HTTP/2")
        if head.method != "POST":
            return _plain(405, "Method Not Allowed", (b"allow", b"POST"))
        kind = head.get("content-type")
        if kind not in _TYPES and kind.partition(";")[0].strip() not in _TYPES:
            return _plain(415, "the only message format of gRPC that is known here is proto")
        body_policy = self._body_policies.get(head.path)
        if body_policy is None:
            error = GatewayError(Fault.UNSUPPORTED, "the method is not known here")
            return self._refused(error)
        try:
            if head.path in ADMIN:
                self._extensions.check_admin(ADMIN[head.path], head)
            caller = Caller()
            if self._needs_key(head):
                caller = self._reader.identify(head, generation).caller
                body_policy = replace(body_policy, holder=caller.holder)
        except GatewayError as error:
            return self._statuses.error(error, generation.number)
        is_limited = head.path == _INFER
        return _Opened(generation.serial, body_policy, caller, is_limited, given_request_id(head))

    def _needs_key(self, head: Head) -> bool:
        """Whether a call begins by asking who calls: nothing of it is waited for before that is known.

        The operator is no tenant.
        """
        if head.path in PROBES or head.path in ADMIN:
            return False
        return head.path not in OPERATORS or not self._extensions.is_operator(head)

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Answer a call that ``open`` let pass."""
        generation, opened = self._data_plane.generation(), head.notes[_OPENED]
        request_id: str = opened.request_id
        if head.path != _INFER:
            request_id = request_id or self._make_id().decode()
            return self._wait(self._call(head, body, generation), head, generation, request_id)
        try:
            answered = self._infer.remembered(head, body, generation)
            if answered is None:
                request_id = request_id or self._make_id().decode()
                answered = self._infer(head, INFER_PATH, body, generation, request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            return self._failed(error, head, generation, request_id)
        if not isinstance(answered, Answer):
            return self._wait(answered, head, generation, request_id)
        return with_request_id(answered, request_id) if request_id else answered

    def answer_stream(self, head: Head, body: RequestBody) -> AnyAnswer | PendingAnswer:
        """Answer a call whose messages come one by one."""
        generation = self._data_plane.generation()
        request_id = given_request_id(head) or self._make_id().decode()
        return self._wait(self._converse(head, body, generation, request_id), head, generation, request_id)

    async def _wait(
        self, pending: PendingAnswer, head: Head, generation: NumberedService, request_id: str
    ) -> AnyAnswer:
        try:
            return with_request_id(await pending, request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            return self._failed(error, head, generation, request_id)

    async def _call(self, head: Head, body: Buffer, generation: NumberedService) -> Answer:
        # Such a call may wait for other servers, which needs a task.
        await in_task()
        headers = self._reader.read(head)
        packing, unpacking = self._packing, self._unpack_small(headers, head.path)
        coding = packing.coding(headers)
        message = await self._unary[head.path](await unpacking.only(body), head, generation)
        parts = packing.framed([message.SerializeToString()], coding)
        return Answer(200, packing.fields(coding), parts, (), self._statuses.ok(generation.number))

    def _unpack_small(self, headers: OipRequestHeaders, path: str) -> Unpacking:
        most, inflate = self._order if path == LOAD else self._small
        return Unpacking(most, headers.grpc_encoding, inflate)

    async def _converse(
        self, head: Head, body: RequestBody, generation: NumberedService, request_id: str
    ) -> StreamedAnswer:
        # The first step of a stream may wait for other servers, which needs a task.
        await in_task()
        is_infer, is_probe = head.path == _STREAM, head.path in PROBES
        headers = self._reader.read(head) if is_probe else self._reader.identify(head, generation)
        data_plane, packing, until = self._data_plane, self._packing, math.inf
        if headers.grpc_timeout is not None:
            # It is the time of the call as a whole, however many messages it has.
            with self._refusals:
                until = data_plane.clock.now() + parse_timeout(headers.grpc_timeout)
        if is_infer:
            answers = self._stream_infer(head, body, self._codec.unpacking(headers), until, request_id)
        else:
            answers = self._streams[head.path](body, self._unpack_small(headers, head.path), headers, until)
        if until < math.inf:
            answers = timely(answers, until)
        coding = packing.coding(headers)
        return streaming(answers, self._statuses, data_plane.generation, packing=packing, coding=coding)

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        """Render a refusal of the connection's own as a status."""
        refused = self._refused(GatewayError(fault_of_http(status), message))
        return refused if head is None else with_request_id(refused, given_request_id(head))

    def _refused(self, error: GatewayError) -> Answer:
        self._refusals.count(error.fault)
        return self._statuses.error(error, self._data_plane.generation().number)

    def _failed(self, error: Exception, head: Head, generation: NumberedService, request_id: str) -> Answer:
        """Render what went wrong: a status, and never a traceback."""
        request_id = request_id or self._make_id().decode()
        log_failure(_log, error, head, request_id)
        if not isinstance(error, GatewayError):
            error = GatewayError(Fault.INTERNAL, "internal error")
        return with_request_id(self._statuses.error(error, generation.number), request_id)


def _ticker(calls: UnaryCalls, settings: ProtocolSettings) -> HealthTicker:
    return HealthTicker(
        lambda: calls.health(""),
        most=settings.max_health_watches,
        most_per_address=settings.max_health_watches_per_address,
    )


def _plain(status: int, message: str, *extra: tuple[bytes, bytes]) -> Answer:
    return Answer(status, _REFUSED, (encode_error(message),), extra)
