"""The unary calls of ``inference.GRPCInferenceService`` beside ModelInfer, and of the health service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from google.protobuf import json_format

from gateway.core.errors import Fault, GatewayError, printable
from gateway.core.tensor import Buffer
from gateway.listeners.data_plane import NAME, VERSION, DataPlane
from gateway.listeners.oip.model_control import NO_SHARED_MEMORY, ModelControl
from gateway.wire.oip import proto as oip_proto
from gateway.wire.oip.metadata import EXTENSIONS
from gateway.wire.proto import messages

Unary = Callable[[Buffer], Awaitable[Any]]

HEALTH: Final = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class UnaryCalls:
    """One method per call: the bytes of a message in, a message out."""

    def __init__(self, data_plane: DataPlane, model_control: ModelControl) -> None:
        self._data_plane = data_plane
        self._model_control = model_control

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
            "SystemSharedMemoryStatus": self._shared_memory,
            "CudaSharedMemoryStatus": self._shared_memory,
            "SystemSharedMemoryRegister": self._share_memory,
            "SystemSharedMemoryUnregister": self._share_memory,
            "CudaSharedMemoryRegister": self._share_memory,
            "CudaSharedMemoryUnregister": self._share_memory,
        }
        paths = {f"/{messages.SERVICE}/{name}": call for name, call in calls.items()}
        return {**paths, f"/{HEALTH}/Check": self._check}

    def health(self, service: str) -> int:
        """Return the health of a service as grpc.health.v1 numbers it."""
        if service not in {"", HEALTH, messages.SERVICE}:
            return SERVICE_UNKNOWN
        return SERVING if self._data_plane.is_ready() else NOT_SERVING

    async def _server_live(self, _body: Buffer) -> Any:
        return messages.ServerLiveResponse(live=True)

    async def _server_ready(self, _body: Buffer) -> Any:
        return messages.ServerReadyResponse(ready=self._data_plane.is_ready())

    async def _server_metadata(self, _body: Buffer) -> Any:
        return messages.ServerMetadataResponse(name=NAME, version=VERSION, extensions=EXTENSIONS)

    async def _model_ready(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.ModelReadyRequest, bytes(body))
        try:
            ready = await self._data_plane.catalog.is_ready(request.name, request.version)
        except GatewayError as error:
            # As Triton: a model that nobody knows is not ready. Over HTTP any status but 200 means so.
            if error.fault is not Fault.NOT_FOUND:
                raise
            ready = False
        return messages.ModelReadyResponse(ready=ready)

    async def _model_metadata(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.ModelMetadataRequest, bytes(body))
        return oip_proto.encode_model(await self._data_plane.catalog.describe(request.name, request.version))

    async def _model_config(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.ModelConfigRequest, bytes(body))
        config = await self._model_control.config(request.name, request.version)
        return json_format.ParseDict({"config": config}, messages.ModelConfigResponse())

    async def _model_statistics(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.ModelStatisticsRequest, bytes(body))
        found = await self._model_control.statistics(request.name, request.version)
        fields = {"model_stats": msgspec.to_builtins(found)}
        return json_format.ParseDict(fields, messages.ModelStatisticsResponse(), ignore_unknown_fields=True)

    async def _index(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.RepositoryIndexRequest, bytes(body))
        answer = messages.RepositoryIndexResponse()
        for entry in self._model_control.index(request.repository_name, ready_only=request.ready):
            answer.models.add(name=entry.name, version=entry.version, state=entry.state, reason=entry.reason)
        return answer

    async def _load(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.RepositoryModelLoadRequest, bytes(body))
        await self._model_control.load(
            request.repository_name, request.model_name, _parameters(request.parameters)
        )
        return messages.RepositoryModelLoadResponse()

    async def _unload(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.RepositoryModelUnloadRequest, bytes(body))
        await self._model_control.unload(
            request.repository_name, request.model_name, _parameters(request.parameters)
        )
        return messages.RepositoryModelUnloadResponse()

    async def _tracing(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.TraceSettingRequest, bytes(body))
        wanted = {name: list(setting.value) for name, setting in request.settings.items()}
        answer = messages.TraceSettingResponse()
        for name, values in (await self._model_control.tracing(request.model_name, wanted)).items():
            answer.settings[name].value.extend(values)
        return answer

    async def _logging(self, body: Buffer) -> Any:
        request = oip_proto.parse(messages.LogSettingsRequest, bytes(body))
        answer = messages.LogSettingsResponse()
        for name, value in (await self._model_control.logging(_parameters(request.settings))).items():
            kind = {bool: "bool_param", int: "uint32_param", str: "string_param"}[type(value)]
            setattr(answer.settings[name], kind, value)
        return answer

    async def _shared_memory(self, _body: Buffer) -> Any:
        return messages.SharedMemoryStatusResponse()

    async def _share_memory(self, _body: Buffer) -> Any:
        raise GatewayError(Fault.UNSUPPORTED, NO_SHARED_MEMORY)

    async def _check(self, body: Buffer) -> Any:
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
