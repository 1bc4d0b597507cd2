"""The messages that the suite sends and reads, in a pool of their own, apart from every other client's."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE: Final = "inference.GRPCInferenceService"
HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = "grpc.reflection.v1.ServerReflection"
REFLECTION_ALPHA: Final = "grpc.reflection.v1alpha.ServerReflection"

_FILES: Final = descriptor_pb2.FileDescriptorSet.FromString(
    resources.files(__name__).joinpath("oip.binpb").read_bytes()
)
_POOL: Final = descriptor_pool.DescriptorPool()
for _file in _FILES.file:
    _POOL.AddSerializedFile(_file.SerializeToString())


def message_class(name: str) -> Any:
    """Return the class of a message by its full name, such as ``inference.ModelInferRequest``."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(name))


Empty: Final = message_class("inference.Empty")
Named: Final = message_class("inference.Named")
ServerLiveResponse: Final = message_class("inference.ServerLiveResponse")
ServerReadyResponse: Final = message_class("inference.ServerReadyResponse")
ServerMetadataResponse: Final = message_class("inference.ServerMetadataResponse")
ModelReadyResponse: Final = message_class("inference.ModelReadyResponse")
ModelMetadataResponse: Final = message_class("inference.ModelMetadataResponse")
InferTensorContents: Final = message_class("inference.InferTensorContents")
ModelInferRequest: Final = message_class("inference.ModelInferRequest")
ModelInferResponse: Final = message_class("inference.ModelInferResponse")
ModelStreamInferResponse: Final = message_class("inference.ModelStreamInferResponse")
ModelConfigResponse: Final = message_class("inference.ModelConfigResponse")
ModelStatisticsResponse: Final = message_class("inference.ModelStatisticsResponse")
RepositoryIndexRequest: Final = message_class("inference.RepositoryIndexRequest")
RepositoryIndexResponse: Final = message_class("inference.RepositoryIndexResponse")
RepositoryModelRequest: Final = message_class("inference.RepositoryModelRequest")
SharedMemoryStatusRequest: Final = message_class("inference.SharedMemoryStatusRequest")
TraceSettingRequest: Final = message_class("inference.TraceSettingRequest")
TraceSettingResponse: Final = message_class("inference.TraceSettingResponse")
LogSettingsRequest: Final = message_class("inference.LogSettingsRequest")
LogSettingsResponse: Final = message_class("inference.LogSettingsResponse")
HealthCheckRequest: Final = message_class("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse: Final = message_class("grpc.health.v1.HealthCheckResponse")
ServerReflectionRequest: Final = message_class("grpc.reflection.v1.ServerReflectionRequest")
ServerReflectionResponse: Final = message_class("grpc.reflection.v1.ServerReflectionResponse")
