"""The unary calls beside ModelInfer."""

from __future__ import annotations

from urllib.parse import unquote

from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from gateway.telemetry.log_settings import LogSettings
from gateway.wire.proto import messages
from tests.fakes.data_plane import FakeCatalog
from tests.fakes.operator import OPEN
from tests.gateway.listeners.oip.grpc.calls import (
    ALLOWED,
    HEALTH,
    OPERATOR,
    call,
    wire,
)


async def test_server_and_models():
    """The calls of the protocol without extensions."""
    asked = wire(catalog=FakeCatalog(unready=frozenset({"digits"})), ready=False)
    model = messages.ModelReadyRequest(name="digits")

    live, _ = await call("ServerLive", messages.ServerLiveRequest(), messages.ServerLiveResponse)
    ready, _ = await call("ServerReady", messages.ServerReadyRequest(), messages.ServerReadyResponse, asked)
    server, _ = await call(
        "ServerMetadata", messages.ServerMetadataRequest(), messages.ServerMetadataResponse
    )
    not_ready, _ = await call("ModelReady", model, messages.ModelReadyResponse, asked)
    unknown, _ = await call("ModelReady", messages.ModelReadyRequest(name="x"), messages.ModelReadyResponse)
    metadata, _ = await call(
        "ModelMetadata", messages.ModelMetadataRequest(name="digits"), messages.ModelMetadataResponse
    )
    _, trailers = await call("ModelMetadata", messages.ModelMetadataRequest(name="x"))

    assert (live.live, ready.ready, not_ready.ready, unknown.ready) == (True, False, False, False)
    assert "statistics" in server.extensions
    assert metadata.inputs[0].name == "image"
    assert trailers["grpc-status"] == "5"


async def test_the_servers_name_is_the_settings():
    """Clients written for another server may look for its name."""
    asked = wire(extensions=Extensions(settings=ProtocolSettings(server_name="triton")))

    server, _ = await call(
        "ServerMetadata", messages.ServerMetadataRequest(), messages.ServerMetadataResponse, asked
    )

    assert server.name == "triton"


async def test_a_log_setting_without_a_value():
    """As tritonclient sends one that is None: it is refused as any other value of the wrong type."""
    request = messages.LogSettingsRequest()
    request.settings["log_info"].SetInParent()
    asked = wire(extensions=Extensions(logging=LogSettings(), **OPEN))

    _, trailers = await call("LogSettings", request, None, asked, OPERATOR)

    assert (trailers["grpc-status"], unquote(trailers["grpc-message"])) == (
        "3",
        "expect boolean for 'log_info'",
    )


async def test_extensions():
    """Configuration, statistics, index, settings; shared memory has no regions and takes none."""
    config, _ = await call(
        "ModelConfig", messages.ModelConfigRequest(name="digits"), messages.ModelConfigResponse
    )
    stats, _ = await call(
        "ModelStatistics", messages.ModelStatisticsRequest(name="digits"), messages.ModelStatisticsResponse
    )
    index, _ = await call(
        "RepositoryIndex", messages.RepositoryIndexRequest(), messages.RepositoryIndexResponse
    )
    tracing, _ = await call(
        "TraceSetting",
        messages.TraceSettingRequest(),
        messages.TraceSettingResponse,
        wire(extensions=ALLOWED),
    )
    logging, _ = await call(
        "LogSettings", messages.LogSettingsRequest(), messages.LogSettingsResponse, wire(extensions=ALLOWED)
    )
    regions, _ = await call("SystemSharedMemoryStatus", messages.ServerLiveRequest())
    _, refused = await call("CudaSharedMemoryRegister", messages.ServerLiveRequest())

    assert list(config.config.input[0].dims) == [-1, 4]
    assert stats.model_stats[0].inference_stats.HasField("cache_miss")
    assert len(index.models) == 0
    assert list(tracing.settings["trace_level"].value) == ["OFF"]
    assert logging.settings["log_format"].string_param == "default"
    assert regions == b""
    assert refused["grpc-status"] == "12"
    assert "shared memory" in refused["grpc-message"]


async def test_changes_are_an_operators():
    """Loading, unloading and settings are refused on a public port."""
    load = messages.RepositoryModelLoadRequest(model_name="m")
    load.parameters["config"].string_param = "{}"
    unload = messages.RepositoryModelUnloadRequest(model_name="m")
    tracing = messages.TraceSettingRequest()
    tracing.settings["trace_rate"].value.append("1")
    logging = messages.LogSettingsRequest()
    logging.settings["log_info"].bool_param = True
    empty = messages.LogSettingsRequest()
    empty.settings["log_info"].SetInParent()
    named = messages.RepositoryIndexRequest(repository_name="other")

    for name, message in (
        ("RepositoryModelLoad", load),
        ("RepositoryModelUnload", unload),
        ("TraceSetting", tracing),
        ("LogSettings", logging),
    ):
        assert (await call(name, message))[1]["grpc-status"] == "7"
    for name, message, code in (
        ("RepositoryModelLoad", load, "5"),
        ("RepositoryModelUnload", unload, "5"),
        ("TraceSetting", tracing, "0"),
        ("LogSettings", empty, "3"),
        ("RepositoryIndex", named, "12"),
    ):
        on = wire(extensions=ALLOWED)
        assert (await call(name, message, on=on, headers=OPERATOR))[1]["grpc-status"] == code
        if name != "RepositoryIndex":
            assert (await call(name, message, on=on))[1]["grpc-status"] == "16"
            page = {**OPERATOR, "origin": "null"}
            assert (await call(name, message, on=on, headers=page))[1]["grpc-status"] in {"3", "7"}


async def test_health():
    """The server and its services serve or not; others are not known."""
    for service, ready, status in (("", True, 1), (messages.SERVICE, False, 2)):
        asked = messages.HealthCheckRequest(service=service)
        health, _ = await call(
            "Check", asked, messages.HealthCheckResponse, wire(ready=ready), service=HEALTH
        )
        assert health.status == status

    _, trailers = await call("Check", messages.HealthCheckRequest(service="x"), service=HEALTH)
    assert trailers["grpc-status"] == "5"
