"""The unary calls of ``inference.GRPCInferenceService`` beside ModelInfer, and of the health service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec
from google.protobuf import json_format

from gateway.core.catalog import VisibleModels
from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.service import NumberedService
from gateway.core.tensor import Buffer
from gateway.http.exchange import Head
from gateway.listeners.data_plane import VERSION, DataPlane
from gateway.listeners.oip import shared_memory
from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.model_control import LOADING, UNLOADING, ModelControl
from gateway.listeners.oip.request_headers import OipHeaderReader
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.metadata import EXTENSIONS
from gateway.wire.oip.passed_config import encode_config
from gateway.wire.proto import messages

Unary = Callable[[Buffer, Head, NumberedService], Awaitable[Any]]

HEALTH: Final = "grpc.health.v1.Health"
PROBES: Final = frozenset(
    {f"/{messages.SERVICE}/{name}" for name in ("ServerLive", "ServerReady", "ServerMetadata")}
    | {f"/{HEALTH}/Check", f"/{HEALTH}/Watch"}
)
"""Calls about the server as a whole, which need no key."""

LOAD: Final = f"/{messages.SERVICE}/RepositoryModelLoad"
ADMIN: Final = {
    LOAD: LOADING,
    f"/{messages.SERVICE}/RepositoryModelUnload": UNLOADING,
}
OPERATORS: Final = frozenset(
    f"/{messages.SERVICE}/{name}" for name in ("LogSettings", "TraceSetting", "RepositoryIndex")
)
"""Calls that may be the operator's, who changes settings and sees all models, as well as a tenant's."""

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class UnaryCalls:
    """One method per call: the bytes of a message in, a message out."""

    def __init__(self, data_plane: DataPlane, extensions: Extensions, reader: OipHeaderReader) -> None:
        self._data_plane, self._extensions, self._reader = data_plane, extensions, reader
        self._model_control = ModelControl(extensions)

    def __repr__(self) -> str:
        return f"<UnaryCalls of {self._data_plane.region}>"

    def paths(self) -> dict[str, Unary]:
        """Return every call by its path."""
        calls: dict[str, Unary] = {
            "ServerLive": self._server_live,
            "ServerReady": self._server_ready,
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._model_statistics,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
            "TraceSetting": self._tracing,
            "LogSettings": self._logging,
            "SystemSharedMemoryStatus": partial(self._shared_memory, "system"),
            "CudaSharedMemoryStatus": partial(self._shared_memory, "cuda"),
            "SystemSharedMemoryRegister": self._share_memory,
            "SystemSharedMemoryUnregister": self._unshare_memory,
            "CudaSharedMemoryRegister": self._share_memory,
            "CudaSharedMemoryUnregister": self._unshare_memory,
        }
        paths = {f"/{messages.SERVICE}/{name}": call for name, call in calls.items()}
        return {**paths, f"/{HEALTH}/Check": self._check}

    def health(self, service: str) -> int:
        """Return the health of a service as grpc.health.v1 numbers it."""
        if service not in {"", HEALTH, messages.SERVICE}:
            return SERVICE_UNKNOWN
        return SERVING if self._data_plane.is_ready() else NOT_SERVING

    async def _server_live(self, _body: Buffer, _head: Head, _generation: NumberedService) -> Any:
        return messages.ServerLiveResponse(live=True)

    async def _server_ready(self, _body: Buffer, _head: Head, _generation: NumberedService) -> Any:
        return messages.ServerReadyResponse(ready=self._data_plane.is_ready())

    async def _server_metadata(self, _body: Buffer, _head: Head, _generation: NumberedService) -> Any:
        return messages.ServerMetadataResponse(
            name=self._extensions.settings.server_name, version=VERSION, extensions=EXTENSIONS
        )

    async def _model_ready(self, body: Buffer, head: Head, generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.ModelReadyRequest, bytes(body))
        try:
            models = self._reader.models(head, generation, request.name, request.version)
            ready = await models.is_ready(request.name, request.version)
        except GatewayError as error:
            # As Triton: a model that nobody knows is not ready. Over HTTP any status but 200 means so.
            if error.fault is not Fault.NOT_FOUND:
                raise
            ready = False
        return messages.ModelReadyResponse(ready=ready)

    async def _model_metadata(self, body: Buffer, head: Head, generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.ModelMetadataRequest, bytes(body))
        models = self._reader.models(head, generation, request.name, request.version)
        return oip_proto.encode_model(await models.describe(request.name, request.version))

    async def _model_config(self, body: Buffer, head: Head, generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.ModelConfigRequest, bytes(body))
        models = self._reader.models(head, generation, request.name, request.version)
        config = await self._model_control.config(models, request.name, request.version)
        return encode_config(config)

    async def _model_statistics(self, body: Buffer, head: Head, generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.ModelStatisticsRequest, bytes(body))
        models = self._reader.models(head, generation, request.name, request.version)
        found = await self._model_control.statistics(models, request.name, request.version)
        fields = {"model_stats": msgspec.to_builtins(found)}
        return json_format.ParseDict(fields, messages.ModelStatisticsResponse(), ignore_unknown_fields=True)

    async def _index(self, body: Buffer, head: Head, generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.RepositoryIndexRequest, bytes(body))
        answer = messages.RepositoryIndexResponse()
        models = self._models(head, generation)
        entries = await self._model_control.index(models, request.repository_name, ready_only=request.ready)
        for entry in entries:
            answer.models.add(name=entry.name, version=entry.version, state=entry.state, reason=entry.reason)
        return answer

    async def _load(self, body: Buffer, head: Head, _generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.RepositoryModelLoadRequest, bytes(body))
        await self._model_control.load(
            head, request.repository_name, request.model_name, _parameters(request.parameters)
        )
        return messages.RepositoryModelLoadResponse()

    async def _unload(self, body: Buffer, head: Head, _generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.RepositoryModelUnloadRequest, bytes(body))
        await self._model_control.unload(
            head, request.repository_name, request.model_name, _parameters(request.parameters)
        )
        return messages.RepositoryModelUnloadResponse()

    async def _tracing(self, body: Buffer, head: Head, generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.TraceSettingRequest, bytes(body))
        wanted = {name: list(setting.value) for name, setting in request.settings.items()}
        answer = messages.TraceSettingResponse()
        models = self._models(head, generation)
        settings = await self._model_control.tracing(head, models, request.model_name, wanted)
        for name, values in settings.items():
            answer.settings[name].value.extend(values)
        return answer

    async def _logging(self, body: Buffer, head: Head, _generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.LogSettingsRequest, bytes(body))
        answer = messages.LogSettingsResponse()
        wanted = {
            name: getattr(value, choice) if (choice := value.WhichOneof("parameter_choice")) else None
            for name, value in request.settings.items()
        }
        settings = await self._model_control.logging(head, wanted)
        for name, value in settings.items():
            kind = {bool: "bool_param", int: "uint32_param", str: "string_param"}[type(value)]
            setattr(answer.settings[name], kind, value)
        return answer

    def _models(self, head: Head, generation: NumberedService) -> VisibleModels | None:
        """Return the caller's models; None for the operator, who is no tenant."""
        return None if self._extensions.is_operator(head) else self._reader.models(head, generation)

    async def _shared_memory(
        self, memory: str, body: Buffer, _head: Head, _generation: NumberedService
    ) -> Any:
        shared_memory.check(memory, oip_proto.parse(messages.SharedMemoryStatusRequest, bytes(body)).name)
        return messages.SharedMemoryStatusResponse()

    async def _share_memory(self, _body: Buffer, _head: Head, _generation: NumberedService) -> Any:
        raise shared_memory.refusal()

    async def _unshare_memory(self, _body: Buffer, _head: Head, _generation: NumberedService) -> Any:
        # Of one region or of all: there are none.
        return messages.SharedMemoryResponse()

    async def _check(self, body: Buffer, _head: Head, _generation: NumberedService) -> Any:
        request = oip_proto.parse(messages.HealthCheckRequest, bytes(body))
        status = self.health(request.service)
        if status == SERVICE_UNKNOWN:
            raise GatewayError(Fault.NOT_FOUND, f"no service '{printable(request.service)}' is known here")
        return messages.HealthCheckResponse(status=status)


def _parameters(entries: Any) -> dict[str, Any]:
    parameters = {}
    for name, value in entries.items():
        choice = value.WhichOneof("parameter_choice")
        if choice is None:
            raise GatewayError(Fault.INVALID, f"'{printable(name)}' has no value")
        parameters[name] = getattr(value, choice)
    return parameters
