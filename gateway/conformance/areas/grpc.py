"""Area `grpc`: every call but inference over gRPC."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from gateway.conformance import messages
from gateway.conformance.areas.model import newest
from gateway.conformance.areas.statistics import DURATIONS
from gateway.conformance.check import Area
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
from gateway.conformance.server_under_test import ServerUnderTest
from gateway.conformance.tensors import DTYPES
from gateway.conformance.verdicts import Absent, Violation, require

AREA = Area("grpc")
EMPTY = messages.Empty()
CORE = ("ServerLive", "ServerReady", "ServerMetadata", "ModelReady", "ModelMetadata", "ModelInfer")


def named(name: str, version: str = "") -> Any:
    """Return the request message that names a model."""
    return messages.Named(name=name, version=version)


@AREA.check("live", "ServerLive", GRPC_HEALTH)
def live(tested: ServerUnderTest) -> None:
    """A server that answers is live."""
    require(tested.call_ok("ServerLive", EMPTY, messages.ServerLiveResponse).live, "'live' is false")


@AREA.check("ready", "ServerReady", GRPC_HEALTH)
def ready(tested: ServerUnderTest) -> None:
    """A server whose models are served is ready."""
    require(tested.call_ok("ServerReady", EMPTY, messages.ServerReadyResponse).ready, "'ready' is false")


@AREA.check("metadata", "ServerMetadata", GRPC_SERVER)
def metadata(tested: ServerUnderTest) -> None:
    """The name at least."""
    require(tested.call_ok("ServerMetadata", EMPTY, messages.ServerMetadataResponse).name, "'name' is empty")


@AREA.check("model-ready", "ModelReady, with and without a version", GRPC_HEALTH)
def model_ready(tested: ServerUnderTest) -> None:
    """A served model is ready."""
    versions = ("", *tested.model.versions[-1:])
    for version in versions:
        reply = tested.call_ok("ModelReady", named(tested.model.name, version), messages.ModelReadyResponse)
        require(reply.ready, f"'ready' is false for the version {version!r}")


@AREA.check("unknown-ready", "ModelReady of an unknown model", GRPC_HEALTH)
def unknown_ready(tested: ServerUnderTest) -> None:
    """`ready` is false, or the call ends with NOT_FOUND."""
    answer = tested.call("ModelReady", named(NO_SUCH_MODEL), messages.ModelReadyResponse)
    denied = answer.code == "OK" and not answer.message.ready
    require(denied or answer.code in {"NOT_FOUND", "UNAVAILABLE"}, f"ended with {answer.code}")


@AREA.check("model-metadata", "ModelMetadata", GRPC_MODEL)
def model_metadata(tested: ServerUnderTest) -> None:
    """Name, inputs and outputs."""
    metadata = tested.call_ok("ModelMetadata", named(tested.model.name), messages.ModelMetadataResponse)
    require(metadata.name == tested.model.name, f"'name' is {metadata.name[:40]!r}")
    require(metadata.inputs and metadata.outputs, "there are no inputs or no outputs")
    for tensor in (*metadata.inputs, *metadata.outputs):
        require(tensor.name, "a tensor has no name")
        require(tensor.datatype in DTYPES, f"'{tensor.name}' has the datatype {tensor.datatype[:20]!r}")
        require(all(size >= -1 for size in tensor.shape), f"'{tensor.name}' has a size below -1")


@AREA.check("versioned-metadata", "ModelMetadata of a version", GRPC_MODEL)
def versioned_metadata(tested: ServerUnderTest) -> None:
    """The version is among those that it names."""
    version = newest(tested)
    metadata = tested.call_ok(
        "ModelMetadata", named(tested.model.name, version), messages.ModelMetadataResponse
    )
    require(version in metadata.versions, f"{list(metadata.versions)[:5]} lacks {version!r}")


@AREA.check("unknown-metadata", "ModelMetadata of an unknown model is NOT_FOUND", GRPC_CODES)
def unknown_metadata(tested: ServerUnderTest) -> None:
    """The same for an unknown version."""
    for request in (named(NO_SUCH_MODEL), named(tested.model.name, NO_SUCH_VERSION)):
        refused_grpc(tested.call("ModelMetadata", request, messages.ModelMetadataResponse), ("NOT_FOUND",))


@AREA.check("unknown-method", "a method that does not exist is UNIMPLEMENTED", GRPC_CODES)
def unknown_method(tested: ServerUnderTest) -> None:
    """The same for a service that does not exist."""
    for method in ("NoSuchMethodOfTheSuite", "no.such.Service/NoSuchMethod"):
        code = tested.call(method, EMPTY, messages.Empty).code
        require(code == "UNIMPLEMENTED", f"{method} ended with {code}")


@AREA.check("config", "ModelConfig", CONFIGURATION, extension="model_configuration")
def config(tested: ServerUnderTest) -> None:
    """Name, inputs and outputs."""
    answer = tested.call("ModelConfig", named(tested.model.name), messages.ModelConfigResponse)
    read = offered_grpc(answer).config
    require(read.name == tested.model.name, f"'name' is {read.name[:40]!r}")
    wanted = {spec.name for spec in tested.model.inputs}
    require({tensor.name for tensor in read.input} == wanted, f"the inputs are not {sorted(wanted)}")
    require(all(tensor.data_type for tensor in (*read.input, *read.output)), "a tensor has no data_type")


@AREA.check(
    "statistics", "ModelStatistics of a model, of all, of an unknown one", STATISTICS, extension="statistics"
)
def statistics(tested: ServerUnderTest) -> None:
    """Every duration is set."""
    for name in (tested.model.name, ""):
        statistics = offered_grpc(
            tested.call("ModelStatistics", named(name), messages.ModelStatisticsResponse)
        )
        of_model = [entry for entry in statistics.model_stats if entry.name == tested.model.name]
        require(of_model, f"the model is not in the statistics of {name!r}")
        missing = [part for part in DURATIONS if not of_model[0].inference_stats.HasField(part)]
        require(not missing, f"{missing} are not set")
        require(of_model[0].version, "'version' is empty")
    unknown = tested.call("ModelStatistics", named(NO_SUCH_MODEL), messages.ModelStatisticsResponse)
    refused_grpc(unknown, ("NOT_FOUND", "INVALID_ARGUMENT"))


@AREA.check("index", "RepositoryIndex", REPOSITORY, extension="model_repository")
def index(tested: ServerUnderTest) -> None:
    """The model is there, READY."""
    request = messages.RepositoryIndexRequest(ready=True)
    index = offered_grpc(tested.call("RepositoryIndex", request, messages.RepositoryIndexResponse))
    states = {entry.name: entry.state for entry in index.models}
    require(states.get(tested.model.name) == "READY", f"the model is {states.get(tested.model.name)!r}")
    require(set(states.values()) == {"READY"}, "an entry is not READY")


@AREA.check(
    "load-unknown",
    "RepositoryModelLoad of an unknown model is refused",
    REPOSITORY,
    extension="model_repository",
)
def load_unknown(tested: ServerUnderTest) -> None:
    """The code must not be one that only the transport uses."""
    request = messages.RepositoryModelRequest(model_name=NO_SUCH_MODEL)
    answer = tested.call("RepositoryModelLoad", request, messages.Empty)
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
def log_settings(tested: ServerUnderTest) -> None:
    """An empty request reads them."""
    reply = offered_grpc(
        tested.call("LogSettings", messages.LogSettingsRequest(), messages.LogSettingsResponse)
    )
    require("log_verbose_level" in reply.settings, "'log_verbose_level' is missing")


@AREA.check("trace-setting", "TraceSetting", TRACE, extension="trace")
def trace_setting(tested: ServerUnderTest) -> None:
    """A request without settings reads them."""
    request = messages.TraceSettingRequest(model_name=tested.model.name)
    reply = offered_grpc(tested.call("TraceSetting", request, messages.TraceSettingResponse))
    require("trace_level" in reply.settings, "'trace_level' is missing")


def _memory(tested: ServerUnderTest, kind: str) -> None:
    offered_grpc(
        tested.call(f"{kind}SharedMemoryStatus", messages.SharedMemoryStatusRequest(), messages.Empty)
    )


@AREA.check("system-memory", "SystemSharedMemoryStatus", SHARED_MEMORY, extension="system_shared_memory")
def system_memory(tested: ServerUnderTest) -> None:
    """The server has the service."""
    _memory(tested, "System")


@AREA.check("cuda-memory", "CudaSharedMemoryStatus", SHARED_MEMORY, extension="cuda_shared_memory")
def cuda_memory(tested: ServerUnderTest) -> None:
    """The server has the service."""
    _memory(tested, "Cuda")


@AREA.check("health-check", "Health/Check: SERVING, or NOT_FOUND", "gRPC health, Check", optional=True)
def health_check(tested: ServerUnderTest) -> None:
    """The server is SERVING; a service that does not exist is NOT_FOUND."""
    method = f"{messages.HEALTH}/Check"
    reply = offered_grpc(tested.call(method, messages.HealthCheckRequest(), messages.HealthCheckResponse))
    require(reply.status == 1, f"the status is {reply.status}, not SERVING")
    unknown = messages.HealthCheckRequest(service="no.such.Service")
    code = tested.call(method, unknown, messages.HealthCheckResponse).code
    require(code == "NOT_FOUND", f"an unknown service ended with {code}")


@AREA.check("health-watch", "Health/Watch: the status at once", "gRPC health, Watch", optional=True)
def health_watch(tested: ServerUnderTest) -> None:
    """The status now comes at once, and the stream stays."""
    request = messages.HealthCheckRequest()
    answer = tested.watch(f"{messages.HEALTH}/Watch", request, messages.HealthCheckResponse, stop_after=1)
    if answer.code == "UNIMPLEMENTED":
        raise Absent("answered with UNIMPLEMENTED")
    require(answer.messages, f"ended with {answer.code} and no status")
    require(answer.message.status == 1, f"the status is {answer.message.status}, not SERVING")


def _reflect(tested: ServerUnderTest, request: Any) -> Any:
    for service in (messages.REFLECTION, messages.REFLECTION_ALPHA):
        answer = tested.stream(
            f"{service}/ServerReflectionInfo", [request], messages.ServerReflectionResponse
        )
        if answer.code != "UNIMPLEMENTED":
            require(answer.messages, f"ended with {answer.code} and no answer")
            return answer.message
    raise Absent("neither v1 nor v1alpha is there")


@AREA.check(
    "reflection-list", "reflection lists the service", "gRPC reflection, list_services", optional=True
)
def reflection_list(tested: ServerUnderTest) -> None:
    """Services are listed by their full names."""
    reply = _reflect(tested, messages.ServerReflectionRequest(list_services="*"))
    names = [service.name for service in reply.list_services_response.service]
    require(messages.SERVICE in names, f"the services are {names[:8]}")


@AREA.check(
    "reflection-symbol", "reflection describes it", "gRPC reflection, file_containing_symbol", optional=True
)
def reflection_symbol(tested: ServerUnderTest) -> None:
    """The description has at least the calls that the protocol requires."""
    reply = _reflect(tested, messages.ServerReflectionRequest(file_containing_symbol=messages.SERVICE))
    methods: set[str] = set()
    for raw in reply.file_descriptor_response.file_descriptor_proto:
        try:
            described = descriptor_pb2.FileDescriptorProto.FromString(raw)
        except DecodeError:
            raise Violation("a file descriptor cannot be read") from None
        for service in described.service:
            if f"{described.package}.{service.name}" == messages.SERVICE:
                methods |= {method.name for method in service.method}
    missing = [name for name in CORE if name not in methods]
    require(not missing, f"{missing} are not described")
