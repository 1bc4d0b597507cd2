"""The protocol over HTTP as an Application: paths to their operations, errors to answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from gateway.core.eager import in_task
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.service import NumberedService
from gateway.core.tensor import Buffer
from gateway.http.exchange import Answer, AnyAnswer, Application, BodyPolicy, Head, PendingAnswer
from gateway.listeners.data_plane import DataPlane
from gateway.listeners.inflater import Inflater
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.inference_endpoint import InferenceEndpoint
from gateway.listeners.oip.model_control import LOADING, MOST_ORDER_BYTES, UNLOADING, ModelControl
from gateway.listeners.oip.request_headers import header_reader
from gateway.listeners.oip.rest.generate import Generate
from gateway.listeners.oip.rest.infer import RestInferCodec
from gateway.listeners.oip.rest.management import Management
from gateway.listeners.oip.rest.metadata import Metadata
from gateway.listeners.oip.rest.responses import Refusal, Responses
from gateway.listeners.refusals import RefusalCounter, log_failure
from gateway.listeners.request_headers import given_request_id, with_request_id
from gateway.wire.oip.paths import METHODS, Operation, ParsedPath, read_path

Call = Callable[[Head, ParsedPath, bytes, NumberedService], Awaitable[AnyAnswer]]
Generating = Callable[[Head, ParsedPath, bytes, NumberedService, str], Awaitable[AnyAnswer]]

_log = logging.getLogger(__name__)

_OPENED: Final = "opened"
_SMALL_BODY: Final = 64 << 10
_GENERATING: Final = frozenset({Operation.GENERATE, Operation.GENERATE_STREAM})
_LARGE: Final = _GENERATING | {Operation.INFER}
"""Operations with large bodies, for which their callers' limits are looked at."""

_NOBODY: Final = Caller()
_ADMIN: Final = {Operation.LOAD: LOADING, Operation.UNLOAD: UNLOADING}
_OPERATORS: Final = frozenset({Operation.LOGGING, Operation.TRACING, Operation.INDEX})
_PROBES: Final = frozenset({Operation.SERVER, Operation.LIVE, Operation.READY})
_IDENTIFIED: Final = frozenset(Operation) - _ADMIN.keys() - _PROBES
"""Operations that begin by asking who calls: nothing of such a request is waited for before that is known.

The operator, whose the calls of _OPERATORS may be as well as a tenant's, is none."""


class _Opened(msgspec.Struct, frozen=True):
    """What a head means to one policy generation; ``is_limited``: its caller's limits are looked at.

    ``request_id``: the one that the client has given; empty: none.
    """

    generation: int
    path: ParsedPath
    body_policy: BodyPolicy
    caller: Caller
    is_limited: bool
    request_id: str


class RestApplication(Application):
    """Answers the paths of the Open Inference Protocol over HTTP."""

    def __init__(self, data_plane: DataPlane, extensions: Extensions | None = None) -> None:
        extensions = extensions or Extensions()
        self._data_plane, self._extensions = data_plane, extensions
        self._make_id = data_plane.make_request_id
        self._refusals = RefusalCounter(data_plane.telemetry, "http")
        self._responses = Responses(data_plane.region, extensions.settings.compress_from_bytes)
        inflater = Inflater(data_plane.max_body_bytes, extensions.settings.inflate_ratio)
        max_json_bytes = extensions.settings.max_json_mib << 20
        codec = RestInferCodec(
            data_plane.catalogs,
            self._responses,
            inflater,
            data_plane.offload,
            settings=extensions.settings,
            class_rules=extensions.class_rules,
        )
        self._reader = reader = header_reader(data_plane, self._refusals, is_grpc=False)
        self._infer = InferenceEndpoint(data_plane, codec, reader, self._refusals)
        generate = Generate(data_plane, self._responses, codec, self._infer, extensions.settings)
        metadata = Metadata(data_plane, extensions.settings.server_name, reader, self._responses)
        management = Management(ModelControl(extensions), extensions, reader, self._responses)
        self._calls = _calls(metadata, management)
        self._generating: dict[Operation, Generating] = {
            Operation.GENERATE: generate.once,
            Operation.GENERATE_STREAM: generate.stream,
        }
        self._max_bytes = dict.fromkeys(Operation, _SMALL_BODY)
        self._max_bytes[Operation.LOAD] = min(data_plane.max_body_bytes, MOST_ORDER_BYTES)
        self._max_bytes |= dict.fromkeys(_LARGE, data_plane.max_body_bytes)
        # All of such a body is JSON, compressed or not.
        self._max_bytes |= dict.fromkeys(_GENERATING, min(data_plane.max_body_bytes, max_json_bytes))

    def __repr__(self) -> str:
        return f"<RestApplication of {self._data_plane.region}>"

    def open(self, head: Head) -> BodyPolicy | Answer:
        """Refuse unknown paths, methods and callers; else return how large a body may be."""
        generation = self._data_plane.generation()
        opened: _Opened | None = head.notes.get(_OPENED)
        if opened is None or opened.generation != generation.serial:
            first = self._open(head, generation)
            if not isinstance(first, _Opened):
                return with_request_id(first, given_request_id(head))
            opened = head.notes[_OPENED] = first
        if opened.is_limited:
            path = opened.path
            if refusal := self._data_plane.over_limit(opened.caller, path.model, path.version):
                refused = self._responses.error(refusal, generation.number)
                return with_request_id(refused, opened.request_id)
        return opened.body_policy

    def answer(self, head: Head, body: Buffer) -> AnyAnswer | PendingAnswer:
        """Answer a request that ``open`` let pass."""
        generation = self._data_plane.generation()
        opened: _Opened = head.notes[_OPENED]
        path, request_id = opened.path, opened.request_id
        if path.operation is not Operation.INFER:
            request_id = request_id or self._make_id().decode()
            calling = self._call(head, path, bytes(body), generation, request_id)
            return self._wait(calling, head, generation, request_id)
        try:
            answered = self._infer.remembered(head, body, generation)
            if answered is None:
                request_id = request_id or self._make_id().decode()
                answered = self._infer(head, path, body, generation, request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            return self._failed(error, head, generation, request_id)
        if not isinstance(answered, Answer):
            return self._wait(answered, head, generation, request_id)
        return with_request_id(answered, request_id) if request_id else answered

    def _open(self, head: Head, generation: NumberedService) -> _Opened | Answer:
        """Look at a head for the first time, or for the first time in this generation."""
        path = read_path(head.path)
        if path is None:
            return self._refused(Refusal(404, "Not Found"))
        allowed, operation = METHODS[path.operation], path.operation
        if head.method not in allowed:
            allow = (b"allow", ", ".join(allowed).encode())
            return self._refused(Refusal(405, "Method Not Allowed", allow))
        try:
            if operation in _ADMIN:
                self._extensions.check_admin(_ADMIN[operation], head)
            caller = _NOBODY
            if operation in _IDENTIFIED and not (
                operation in _OPERATORS and self._extensions.is_operator(head)
            ):
                caller = self._reader.identify(head, generation, path.model, path.version).caller
        except GatewayError as error:
            return self._responses.error(error, generation.number)
        body_policy = BodyPolicy(self._max_bytes[operation], False, caller.holder)
        given = given_request_id(head)
        return _Opened(generation.serial, path, body_policy, caller, operation in _LARGE, given)

    async def _wait(
        self, pending: PendingAnswer, head: Head, generation: NumberedService, request_id: str
    ) -> AnyAnswer:
        try:
            return with_request_id(await pending, request_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            return self._failed(error, head, generation, request_id)

    async def _call(
        self, head: Head, path: ParsedPath, body: bytes, generation: NumberedService, request_id: str
    ) -> AnyAnswer:
        # Such a call may wait for other servers, which needs a task.
        await in_task()
        generating = self._generating.get(path.operation)
        if generating is not None:
            return await generating(head, path, body, generation, request_id)
        return await self._calls[path.operation](head, path, body, generation)

    def _failed(self, error: Exception, head: Head, generation: NumberedService, request_id: str) -> Answer:
        """Render what went wrong: an answer, and never a traceback."""
        request_id = request_id or self._make_id().decode()
        log_failure(_log, error, head, request_id, Refusal)
        if isinstance(error, Refusal):
            self._refusals.count(str(error.status))
            refused = self._responses.refusal(error, generation.number)
        else:
            if not isinstance(error, GatewayError):
                error = GatewayError(Fault.INTERNAL, "internal error")
            refused = self._responses.error(error, generation.number)
        return with_request_id(refused, request_id)

    def refuse(self, head: Head | None, status: int, message: str) -> Answer:
        """Render a refusal of the connection's own."""
        refused = self._refused(Refusal(status, message))
        return refused if head is None else with_request_id(refused, given_request_id(head))

    def _refused(self, refusal: Refusal) -> Answer:
        self._refusals.count(str(refusal.status))
        return self._responses.refusal(refusal, self._data_plane.generation().number)


def _calls(metadata: Metadata, management: Management) -> dict[Operation, Call]:
    return {
        Operation.SERVER: metadata.server,
        Operation.LIVE: metadata.live,
        Operation.READY: metadata.ready,
        Operation.MODEL: metadata.model,
        Operation.MODEL_READY: metadata.model_ready,
        Operation.MODELS: management.models,
        Operation.CONFIG: management.config,
        Operation.STATISTICS: management.statistics,
        Operation.INDEX: management.index,
        Operation.LOAD: management.load,
        Operation.UNLOAD: management.unload,
        Operation.LOGGING: management.logging,
        Operation.TRACING: management.tracing,
        Operation.SHARED_MEMORY: management.shared_memory,
        Operation.SHARE_MEMORY: management.share_memory,
        Operation.UNSHARE_MEMORY: management.unshare_memory,
    }
