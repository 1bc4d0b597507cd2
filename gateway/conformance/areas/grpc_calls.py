"""Area `grpc`: every call but inference over gRPC."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from gateway.conformance import messages
from gateway.conformance.areas.model import newest
from gateway.conformance.areas.statistics import DURATIONS
from gateway.conformance.check import Absent, Area, Broken, require
from gateway.conformance.clauses import (
    CONFIGURATION,
    GRPC_CODES,
    GRPC_HEALTH,
    GRPC_MODEL,
    GRPC_SERVER,
    LOGGING,
    REPOSITORY,
    SHARED_MEMORY,
    STATISTICS,
    TRACE,
)
from gateway.conformance.expect import offered_grpc, refused_grpc
from gateway.conformance.faults import NO_SUCH_MODEL, NO_SUCH_VERSION
from gateway.conformance.peer import Peer
from gateway.conformance.tensors import DTYPES

AREA = Area("grpc")
EMPTY = messages.Empty()
CORE = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer")


def named(name: str, version: str = "") -> Any:
    """Return the message that asks for a model."""
    return messages.Named(name=name, version=version)


@AREA.check("live", "ServerLive", GRPC_HEALTH)
def live(peer: Peer) -> None:
    """A server that answers is live."""
    require(peer.told("ServerLive", EMPTY, messages.ServerLiveResponse).live, "'live' is false")


@AREA.check("ready", "ServerReady", GRPC_HEALTH)
def ready(peer: Peer) -> None:
    """A server whose models are served is ready."""
    require(peer.told("ServerReady", EMPTY, messages.ServerReadyResponse).ready, "'ready' is false")


@AREA.check("metadata", "ServerMetadata", GRPC_SERVER)
def metadata(peer: Peer) -> None:
    """The name at least."""
    require(peer.told("ServerMetadata", EMPTY, messages.ServerMetadataResponse).name, "'name' is empty")


@AREA.check("model-ready", "ModelReady, with and without a version", GRPC_HEALTH)
def model_ready(peer: Peer) -> None:
    """A served model is ready."""
    versions = ("", *peer.model.versions[-1:])
    for version in versions:
        told = peer.told("ModelReady", named(peer.model.name, version), messages.ModelReadyResponse)
        require(told.ready, f"'ready' is false for the version {version!r}")


@AREA.check("unknown-ready", "ModelReady of an unknown model", GRPC_HEALTH)
def unknown_ready(peer: Peer) -> None:
    """False, or NOT_FOUND."""
    answer = peer.call("ModelReady", named(NO_SUCH_MODEL), messages.ModelReadyResponse)
    denied = answer.code == "OK" and not answer.message.ready
    require(denied or answer.code in {"NOT_FOUND", "UNAVAILABLE"}, f"ended with {answer.code}")


@AREA.check("model-metadata", "ModelMetadata", GRPC_MODEL)
def model_metadata(peer: Peer) -> None:
    """Name, inputs and outputs."""
    told = peer.told("ModelMetadata", named(peer.model.name), messages.ModelMetadataResponse)
    require(told.name == peer.model.name, f"'name' is {told.name[:40]!r}")
    require(told.inputs and told.outputs, "there are no inputs or no outputs")
    for tensor in (*told.inputs, *told.outputs):
        require(tensor.name, "a tensor has no name")
        require(tensor.datatype in DTYPES, f"'{tensor.name}' has the datatype {tensor.datatype[:20]!r}")
        require(all(size >= -1 for size in tensor.shape), f"'{tensor.name}' has a size below -1")


@AREA.check("versioned-metadata", "ModelMetadata of a version", GRPC_MODEL)
def versioned_metadata(peer: Peer) -> None:
    """The version is among those that it names."""
    version = newest(peer)
    told = peer.told("ModelMetadata", named(peer.model.name, version), messages.ModelMetadataResponse)
    require(version in told.versions, f"{list(told.versions)[:5]} lacks {version!r}")


@AREA.check("unknown-metadata", "ModelMetadata of an unknown model is NOT_FOUND", GRPC_CODES)
def unknown_metadata(peer: Peer) -> None:
    """And of an unknown version."""
    for asked in (named(NO_SUCH_MODEL), named(peer.model.name, NO_SUCH_VERSION)):
        refused_grpc(peer.call("ModelMetadata", asked, messages.ModelMetadataResponse), ("NOT_FOUND",))


@AREA.check("unknown-method", "a method that does not exist is UNIMPLEMENTED", GRPC_CODES)
def unknown_method(peer: Peer) -> None:
    """And a service that does not exist."""
    for method in ("NoSuchMethodOfTheSuite", "no.such.Service/NoSuchMethod"):
        code = peer.call(method, EMPTY, messages.Empty).code
        require(code == "UNIMPLEMENTED", f"{method} ended with {code}")


@AREA.check("config", "ModelConfig", CONFIGURATION, extension="model_configuration")
def config(peer: Peer) -> None:
    """Name, inputs and outputs."""
    told = peer.call("ModelConfig", named(peer.model.name), messages.ModelConfigResponse)
    read = offered_grpc(told).config
    require(read.name == peer.model.name, f"'name' is {read.name[:40]!r}")
    wanted = {spec.name for spec in peer.model.inputs}
    require({tensor.name for tensor in read.input} == wanted, f"the inputs are not {sorted(wanted)}")
    require(all(tensor.data_type for tensor in (*read.input, *read.output)), "a tensor has no data_type")


@AREA.check(
    "statistics", "ModelStatistics of a model, of all, of an unknown one", STATISTICS, extension="statistics"
)
def statistics(peer: Peer) -> None:
    """Every duration is set."""
    for name in (peer.model.name, ""):
        told = offered_grpc(peer.call("ModelStatistics", named(name), messages.ModelStatisticsResponse))
        of_model = [entry for entry in told.model_stats if entry.name == peer.model.name]
        require(of_model, f"the model is not in the statistics of {name!r}")
        missing = [part for part in DURATIONS if not of_model[0].inference_stats.HasField(part)]
        require(not missing, f"{missing} are not set")
        require(of_model[0].version, "'version' is empty")
    unknown = peer.call("ModelStatistics", named(NO_SUCH_MODEL), messages.ModelStatisticsResponse)
    refused_grpc(unknown, ("NOT_FOUND", "INVALID_ARGUMENT"))


@AREA.check("index", "RepositoryIndex", REPOSITORY, extension="model_repository")
def index(peer: Peer) -> None:
    """The model is there, READY."""
    asked = messages.RepositoryIndexRequest(ready=True)
    told = offered_grpc(peer.call("RepositoryIndex", asked, messages.RepositoryIndexResponse))
    states = {entry.name: entry.state for entry in told.models}
    require(states.get(peer.model.name) == "READY", f"the model is {states.get(peer.model.name)!r}")
    require(set(states.values()) == {"READY"}, "an entry is not READY")


@AREA.check(
    "load-unknown",
    "RepositoryModelLoad of an unknown model is refused",
    REPOSITORY,
    extension="model_repository",
)
def load_unknown(peer: Peer) -> None:
    """Whatever the code is, it is none of the transport's."""
    asked = messages.RepositoryModelRequest(model_name=NO_SUCH_MODEL)
    answer = peer.call("RepositoryModelLoad", asked, messages.Empty)
    codes = (
        "NOT_FOUND",
        "INVALID_ARGUMENT",
        "PERMISSION_DENIED",
        "INTERNAL",
        "UNAVAILABLE",
        "FAILED_PRECONDITION",
    )
    refused_grpc(answer, codes)


@AREA.check("log-settings", "LogSettings", LOGGING, extension="logging")
def log_settings(peer: Peer) -> None:
    """An empty request reads them."""
    told = offered_grpc(peer.call("LogSettings", messages.LogSettingsRequest(), messages.LogSettingsResponse))
    require("log_verbose_level" in told.settings, "'log_verbose_level' is missing")


@AREA.check("trace-setting", "TraceSetting", TRACE, extension="trace")
def trace_setting(peer: Peer) -> None:
    """A request without settings reads them."""
    asked = messages.TraceSettingRequest(model_name=peer.model.name)
    told = offered_grpc(peer.call("TraceSetting", asked, messages.TraceSettingResponse))
    require("trace_level" in told.settings, "'trace_level' is missing")


def _memory(peer: Peer, kind: str) -> None:
    offered_grpc(peer.call(f"{kind}SharedMemoryStatus", messages.SharedMemoryStatusRequest(), messages.Empty))


@AREA.check("system-memory", "SystemSharedMemoryStatus", SHARED_MEMORY, extension="system_shared_memory")
def system_memory(peer: Peer) -> None:
    """It can be asked."""
    _memory(peer, "System")


@AREA.check("cuda-memory", "CudaSharedMemoryStatus", SHARED_MEMORY, extension="cuda_shared_memory")
def cuda_memory(peer: Peer) -> None:
    """It can be asked."""
    _memory(peer, "Cuda")


@AREA.check("health-check", "Health/Check: SERVING, or NOT_FOUND", "gRPC health, Check", optional=True)
def health_check(peer: Peer) -> None:
    """The server is SERVING; a service that does not exist is NOT_FOUND."""
    method = f"{messages.HEALTH}/Check"
    told = offered_grpc(peer.call(method, messages.HealthCheckRequest(), messages.HealthCheckResponse))
    require(told.status == 1, f"the status is {told.status}, not SERVING")
    unknown = messages.HealthCheckRequest(service="no.such.Service")
    code = peer.call(method, unknown, messages.HealthCheckResponse).code
    require(code == "NOT_FOUND", f"an unknown service ended with {code}")


@AREA.check("health-watch", "Health/Watch: the status at once", "gRPC health, Watch", optional=True)
def health_watch(peer: Peer) -> None:
    """The status now comes at once, and the stream stays."""
    asked = messages.HealthCheckRequest()
    answer = peer.watch(f"{messages.HEALTH}/Watch", asked, messages.HealthCheckResponse, stop_after=1)
    if answer.code == "UNIMPLEMENTED":
        raise Absent("answered with UNIMPLEMENTED")
    require(answer.messages, f"ended with {answer.code} and no status")
    require(answer.message.status == 1, f"the status is {answer.message.status}, not SERVING")


def _reflect(peer: Peer, asked: Any) -> Any:
    for service in (messages.REFLECTION, messages.REFLECTION_ALPHA):
        answer = peer.stream(f"{service}/ServerReflectionInfo", [asked], messages.ServerReflectionResponse)
        if answer.code != "UNIMPLEMENTED":
            require(answer.messages, f"ended with {answer.code} and no answer")
            return answer.message
    raise Absent("neither v1 nor v1alpha is there")


@AREA.check(
    "reflection-list", "reflection lists the service", "gRPC reflection, list_services", optional=True
)
def reflection_list(peer: Peer) -> None:
    """By its full name."""
    told = _reflect(peer, messages.ServerReflectionRequest(list_services="*"))
    names = [service.name for service in told.list_services_response.service]
    require(messages.SERVICE in names, f"the services are {names[:8]}")


@AREA.check(
    "reflection-symbol", "reflection describes it", "gRPC reflection, file_containing_symbol", optional=True
)
def reflection_symbol(peer: Peer) -> None:
    """With at least the calls that the protocol requires."""
    told = _reflect(peer, messages.ServerReflectionRequest(file_containing_symbol=messages.SERVICE))
    methods: set[str] = set()
    for raw in told.file_descriptor_response.file_descriptor_proto:
        try:
            described = descriptor_pb2.FileDescriptorProto.FromString(raw)
        except DecodeError:
            raise Broken("a file descriptor cannot be read") from None
        for service in described.service:
            if f"{described.package}.{service.name}" == messages.SERVICE:
                methods |= {method.name for method in service.method}
    missing = [name for name in CORE if name not in methods]
    require(not missing, f"{missing} are not described")
