"""The conformance suite notices a server that breaks a rule over gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from gateway.conformance import messages
from gateway.conformance.faults import FAULTY
from tests.fakes.conformance import (
    GrpcLie,
    Stage,
    conformance,
    failed,
)


def saying(method: str, kind: Any, change: Callable[[Any], Any]) -> GrpcLie:
    """Change the messages of one kind that a method answers with."""

    def lie(path: str, raw: bytes) -> bytes:
        if not path.endswith(f"/{method}"):
            return raw
        message = kind.FromString(raw)
        change(message)
        return bytes(message.SerializeToString())

    return lie


def clear(*names: str) -> Callable[[Any], Any]:
    """Take fields away."""
    return lambda message: [message.ClearField(name) for name in names]


def put_in(**values: Any) -> Callable[[Any], Any]:
    """Set fields."""
    return lambda message: [setattr(message, name, value) for name, value in values.items()]


def zeros(datatype: str) -> Callable[[Any], Any]:
    """Set all elements of outputs of a datatype to 0."""

    def change(message: Any) -> None:
        for number, output in enumerate(message.outputs):
            if output.datatype == datatype:
                message.raw_output_contents[number] = bytes(len(message.raw_output_contents[number]))

    return change


INFER, METADATA, STREAM = (
    messages.ModelInferResponse,
    messages.ModelMetadataResponse,
    messages.ModelStreamInferResponse,
)

GRPC_LIES: dict[str, tuple[str, GrpcLie, set[str]]] = {
    "dead": ("grpc", saying("ServerLive", messages.ServerLiveResponse, clear("live")), {"live"}),
    "not ready": ("grpc", saying("ServerReady", messages.ServerReadyResponse, clear("ready")), {"ready"}),
    "no name": (
        "grpc",
        saying("ServerMetadata", messages.ServerMetadataResponse, clear("name")),
        {"metadata"},
    ),
    "no model is ready": (
        "grpc",
        saying("ModelReady", messages.ModelReadyResponse, put_in(ready=False)),
        {"model-ready"},
    ),
    "every model is ready": (
        "grpc",
        lambda path, raw: b"\x08\x01" if path.endswith("/ModelReady") else raw,
        {"unknown-ready"},
    ),
    "no inputs": ("grpc", saying("ModelMetadata", METADATA, clear("inputs")), {"model-metadata"}),
    "no versions": ("grpc", saying("ModelMetadata", METADATA, clear("versions")), {"versioned-metadata"}),
    "a configuration without inputs": (
        "grpc",
        saying("ModelConfig", messages.ModelConfigResponse, lambda reply: reply.config.ClearField("input")),
        {"config"},
    ),
    "a duration is missing": (
        "grpc",
        saying(
            "ModelStatistics",
            messages.ModelStatisticsResponse,
            lambda reply: [entry.inference_stats.ClearField("cache_hit") for entry in reply.model_stats],
        ),
        {"statistics"},
    ),
    "a state of its own": (
        "grpc",
        saying(
            "RepositoryIndex",
            messages.RepositoryIndexResponse,
            lambda reply: [setattr(entry, "state", "SERVING") for entry in reply.models],
        ),
        {"index"},
    ),
    "no log settings": (
        "grpc",
        saying("LogSettings", messages.LogSettingsResponse, clear("settings")),
        {"log-settings"},
    ),
    "no trace settings": (
        "grpc",
        saying("TraceSetting", messages.TraceSettingResponse, clear("settings")),
        {"trace-setting"},
    ),
    "unhealthy": ("grpc", saying("Check", messages.HealthCheckResponse, put_in(status=2)), {"health-check"}),
    "unhealthy, when watched": (
        "grpc",
        saying("Watch", messages.HealthCheckResponse, put_in(status=2)),
        {"health-watch"},
    ),
    "nothing to reflect": (
        "grpc",
        saying(
            "ServerReflectionInfo",
            messages.ServerReflectionResponse,
            clear("list_services_response", "file_descriptor_response"),
        ),
        {"reflection-list", "reflection-symbol"},
    ),
    "no message": ("grpc", lambda path, raw: b"\xff" if path.endswith("/ServerLive") else raw, {"live"}),
    "no id": ("grpc-infer", saying("ModelInfer", INFER, clear("id")), {"raw"}),
    "somebody else's id": (
        "grpc-infer",
        saying("ModelInfer", INFER, lambda reply: reply.id or put_in(id="somebody-else")(reply)),
        {"no-id"},
    ),
    "no version": ("grpc-infer", saying("ModelInfer", INFER, clear("model_version")), {"versioned"}),
    "raw and typed contents": (
        "grpc-infer",
        saying("ModelInfer", INFER, lambda reply: reply.outputs[0].contents.fp32_contents.append(1.0)),
        {"raw", "typed", "versioned", "selected", "no-id", "parameters", "metadata"},
    ),
    "a byte is missing": (
        "grpc-infer",
        saying(
            "ModelInfer",
            INFER,
            lambda reply: reply.raw_output_contents.append(reply.raw_output_contents.pop()[:-1]),
        ),
        {"raw", "typed", "versioned", "selected", "no-id", "parameters", "metadata"},
    ),
    "other numbers than over HTTP": ("parity", saying("ModelInfer", INFER, zeros("FP32")), {"outputs"}),
    "numbers are lost": (
        "datatypes",
        saying("ModelInfer", INFER, zeros("INT64")),
        {"grpc-INT64", "typed-INT64"},
    ),
    "no ids in a stream": (
        "grpc-stream",
        saying("ModelStreamInfer", STREAM, lambda reply: reply.infer_response.ClearField("id")),
        {"one", "many", "error"},
    ),
    "no errors in a stream": (
        "grpc-stream",
        saying("ModelStreamInfer", STREAM, clear("error_message")),
        {"error"},
    ),
    "other extensions than over HTTP": (
        "parity",
        saying("ServerMetadata", messages.ServerMetadataResponse, clear("extensions")),
        {"server"},
    ),
    "another platform than over HTTP": (
        "parity",
        saying("ModelMetadata", METADATA, clear("platform")),
        {"model"},
    ),
    "other counts than over HTTP": (
        "parity",
        saying(
            "ModelStatistics",
            messages.ModelStatisticsResponse,
            lambda reply: [entry.inference_stats.ClearField("success") for entry in reply.model_stats],
        ),
        {"statistics"},
    ),
}


@pytest.mark.parametrize(("area", "lie", "noticed"), GRPC_LIES.values(), ids=GRPC_LIES)
def test_a_lie_over_grpc_is_noticed(stage: Stage, area: str, lie: GrpcLie, noticed: set[str]) -> None:
    """Exactly the checks whose clause it breaks fail."""
    stage.grpc_lie = lie

    assert failed(conformance(stage, area, lying=True)) == {f"{area}.{name}" for name in noticed}


def test_grpc_codes_that_blame_the_server_are_noticed(stage: Stage) -> None:
    """Every wrong request's code is looked at, and compared with HTTP's status."""
    wrong = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}
    stage.grpc_code = lambda _, code: grpc.StatusCode.INTERNAL if code in wrong else code

    noticed = failed(conformance(stage, "grpc-infer", "parity", lying=True))

    assert noticed >= {f"{area}.{faulty.id}" for area in ("grpc-infer", "parity") for faulty in FAULTY}
    assert not noticed & {"grpc-infer.raw", "grpc-infer.typed", "parity.outputs", "parity.model"}


def test_a_method_that_exists_in_part_is_noticed(stage: Stage) -> None:
    """A method that nobody has is UNIMPLEMENTED; what is optional and says so is left out."""
    stage.grpc_code = lambda _, code: (
        grpc.StatusCode.INTERNAL if code is grpc.StatusCode.UNIMPLEMENTED else code
    )

    assert failed(conformance(stage, "grpc", lying=True)) == {"grpc.unknown-method"}
