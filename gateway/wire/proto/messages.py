"""The protobuf messages of the Open Inference Protocol, in a pool of their own.

A class generated the usual way registers itself in protobuf's process-wide pool, where tritonclient
keeps the same names: the second to come would fail. Here nothing is shared and nothing is generated.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE: Final = "inference.GRPCInferenceService"

_FILES: Final = descriptor_pb2.FileDescriptorSet.FromString(
    resources.files("gateway.wire.proto").joinpath("open_inference.binpb").read_bytes()
)
_POOL: Final = descriptor_pool.DescriptorPool()
for _file in _FILES.file:
    _POOL.AddSerializedFile(_file.SerializeToString())


def message(name: str) -> Any:
    """Return the class of a message by its full name, ``inference.ModelInferRequest``."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


def files() -> list[Any]:
    """Return the descriptors of all files, each after those that it imports."""
    return list(_FILES.file)


ServerLiveRequest: Final = message("inference.ServerLiveRequest")
ServerLiveResponse: Final = message("inference.ServerLiveResponse")
ServerReadyRequest: Final = message("inference.ServerReadyRequest")
ServerReadyResponse: Final = message("inference.ServerReadyResponse")
ServerMetadataRequest: Final = message("inference.ServerMetadataRequest")
ServerMetadataResponse: Final = message("inference.ServerMetadataResponse")
ModelReadyRequest: Final = message("inference.ModelReadyRequest")
ModelReadyResponse: Final = message("inference.ModelReadyResponse")
ModelMetadataRequest: Final = message("inference.ModelMetadataRequest")
ModelMetadataResponse: Final = message("inference.ModelMetadataResponse")
ModelInferRequest: Final = message("inference.ModelInferRequest")
ModelInferResponse: Final = message("inference.ModelInferResponse")
ModelStreamInferResponse: Final = message("inference.ModelStreamInferResponse")
ModelConfigRequest: Final = message("inference.ModelConfigRequest")
ModelConfigResponse: Final = message("inference.ModelConfigResponse")
ModelStatisticsRequest: Final = message("inference.ModelStatisticsRequest")
ModelStatisticsResponse: Final = message("inference.ModelStatisticsResponse")
RepositoryIndexRequest: Final = message("inference.RepositoryIndexRequest")
RepositoryIndexResponse: Final = message("inference.RepositoryIndexResponse")
RepositoryModelLoadRequest: Final = message("inference.RepositoryModelLoadRequest")
RepositoryModelLoadResponse: Final = message("inference.RepositoryModelLoadResponse")
RepositoryModelUnloadRequest: Final = message("inference.RepositoryModelUnloadRequest")
RepositoryModelUnloadResponse: Final = message("inference.RepositoryModelUnloadResponse")
TraceSettingRequest: Final = message("inference.TraceSettingRequest")
TraceSettingResponse: Final = message("inference.TraceSettingResponse")
LogSettingsRequest: Final = message("inference.LogSettingsRequest")
LogSettingsResponse: Final = message("inference.LogSettingsResponse")
SharedMemoryStatusRequest: Final = message("inference.SharedMemoryStatusRequest")
SharedMemoryStatusResponse: Final = message("inference.SharedMemoryStatusResponse")
SharedMemoryResponse: Final = message("inference.SharedMemoryResponse")
HealthCheckRequest: Final = message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse: Final = message("grpc.health.v1.HealthCheckResponse")
