"""The gRPC application over its seam."""

from __future__ import annotations

import asyncio
import gzip
from urllib.parse import unquote

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.http.exchange import StreamedAnswer
from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.grpc.streams import WATCH_S
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from gateway.wire.faults import STATUSES
from gateway.wire.grpc_framing import frame
from gateway.wire.proto import messages
from tests.fakes.clock import VirtualClock
from tests.fakes.data_plane import EchoService, FakeCatalog, fake_data_plane
from tests.fakes.exchange import Wire, in_pieces, stepped
from tests.fakes.service import HANG, ScriptedService
from tests.fakes.virtual_time import virtual_time

GRPC = {"content-type": "application/grpc", "te": "trailers"}
ALLOWED = Extensions(
    logging=LogSettings(), tracing=TraceSettings(), settings=ProtocolSettings(admin_calls=True)
)


def wire(service=None, extensions=None, **changes) -> Wire:
    front = fake_data_plane(service or EchoService(), **changes)
    return Wire(GrpcApplication(front, extensions), is_http2=True)


def framed(*sent) -> bytes:
    return b"".join(b"".join(frame([message.SerializeToString()])) for message in sent)


def unframed(body: bytes) -> list[bytes]:
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found.append(body[5 : 5 + size])
        body = body[5 + size :]
    return found


async def call(name, message, kind=None, on=None, headers=GRPC, service=messages.SERVICE):
    """The message and the trailers of one unary call."""
    reply = await (on or wire()).ask("POST", f"/{service}/{name}", framed(message), headers)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/grpc"
    if reply.trailers["grpc-status"] != "0":
        assert reply.body == b""
        return None, reply.trailers
    (body,) = unframed(reply.body)
    return (kind.FromString(body) if kind else body), reply.trailers


def infer(request_id="r-1", **parameters):
    message = messages.ModelInferRequest(model_name="digits", id=request_id)
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    message.raw_input_contents.append(b"\0" * 8)
    for name, value in parameters.items():
        message.parameters[name].int64_param = value
    return message


async def test_infer():
    """Answered in one step, with its provenance in the trailers."""
    service = EchoService()
    asked = wire(service)

    for _ in range(2):
        answer, trailers = await call("ModelInfer", infer(), messages.ModelInferResponse, asked)

        assert (answer.id, answer.model_name) == ("r-1", "digits")
        assert answer.raw_output_contents[0] == b"\0" * 8
        assert trailers["grpc-status"] == "0"
        assert trailers["x-edgeway-provenance"] == "central"
        assert trailers["x-edgeway-model-digest"] == "sha256:00ff"
    reply = await asked.ask("POST", f"/{messages.SERVICE}/ModelInfer", framed(infer()), GRPC)
    assert not reply.waited
    assert "<GrpcApplication" in repr(asked.application)


async def test_compressed_request():
    """A gzip message is read as the call's encoding says."""
    packed = gzip.compress(infer().SerializeToString())
    body = b"\1" + len(packed).to_bytes(4, "big") + packed

    reply = await wire().ask(
        "POST", f"/{messages.SERVICE}/ModelInfer", body, {**GRPC, "grpc-encoding": "gzip"}
    )
    refused = await wire().ask(
        "POST", f"/{messages.SERVICE}/ModelInfer", body, {**GRPC, "grpc-encoding": "x"}
    )

    assert reply.trailers["grpc-status"] == "0"
    assert refused.trailers["grpc-status"] == "12"
    assert "gzip" in reply.headers["grpc-accept-encoding"]


async def test_deadlines():
    """The shortest of what headers and parameters say is the deadline."""
    service = EchoService()
    for headers in ({"grpc-timeout": "2S"}, {"x-request-timeout-ms": "2000"}):
        await call("ModelInfer", infer(timeout=9_000_000), on=wire(service), headers=GRPC | headers)
        assert service.last.deadline < asyncio.get_running_loop().time() + 3

    _, trailers = await call("ModelInfer", infer(), headers=GRPC | {"grpc-timeout": "soon"})
    assert trailers["grpc-status"] == "3"


async def test_classification():
    """The highest elements as text, of which the stack hears as well."""
    service = EchoService()
    message = infer()
    message.outputs.add(name="x").parameters["classification"].int64_param = 1

    answer, _ = await call("ModelInfer", message, messages.ModelInferResponse, on=wire(service))

    assert service.last.classes == {"x": 1}

    assert answer.outputs[0].datatype == "BYTES"
    assert answer.raw_output_contents[0] == b"\x0a\0\0\x000.000000:0"


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_has_its_status(fault):
    """Errors are trailers alone, with the message percent-encoded."""
    error = GatewayError(fault, "50% é", retry_after_s=2.5 if fault is Fault.OVERLOADED else None)

    _, trailers = await call("ModelInfer", infer(), on=wire(ScriptedService(error)))

    assert trailers["grpc-status"] == str(STATUSES[fault].grpc)
    assert unquote(trailers["grpc-message"]) == "50% é"
    assert trailers.get("grpc-retry-pushback-ms") == ("2500" if fault is Fault.OVERLOADED else None)
    assert trailers["x-edgeway-served-by"] == "eu-west"


async def test_overload_without_a_time():
    """A second is a good guess."""
    error = GatewayError(Fault.OVERLOADED, "full")

    _, trailers = await call("ModelInfer", infer(), on=wire(ScriptedService(error)))

    assert (trailers["retry-after"], trailers["grpc-retry-pushback-ms"]) == ("1", "1000")


async def test_bugs_are_not_told():
    """An unexpected exception is an internal error, without a word about what it was."""
    _, trailers = await call("ModelInfer", infer(), on=wire(ScriptedService(ZeroDivisionError("secret"))))

    assert (trailers["grpc-status"], trailers["grpc-message"]) == ("13", "internal error")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "ModelInfer", GRPC, 405),
        ("POST", "ModelInfer", {"content-type": "application/grpc-web"}, 415),
        ("POST", "ModelInfer", {"content-type": "application/grpc+json"}, 415),
        ("POST", "ModelInfer", {}, 415),
    ],
)
async def test_no_grpc(method, path, headers, status):
    """What is no gRPC call gets an answer of HTTP's."""
    assert (await wire().ask(method, f"/{messages.SERVICE}/{path}", b"", headers)).status == status


async def test_http_1_is_refused():
    """gRPC has no other wire than HTTP/2."""
    asked = wire()
    asked.is_http2 = False

    assert (await asked.ask("POST", f"/{messages.SERVICE}/ModelInfer", b"", GRPC)).status == 505


async def test_refusals_before_the_message():
    """Unknown methods, bad framing, bad messages and the connection's own refusals are statuses."""
    path = f"/{messages.SERVICE}/"
    unknown = await wire().ask("POST", path + "ModelTrain", b"", GRPC)
    unframed_ = await wire().ask("POST", path + "ModelInfer", b"\0", GRPC)
    broken = await wire().ask("POST", path + "ModelReady", b"\0\0\0\0\1\xff", GRPC)
    large = await wire(max_body_bytes=10).ask("POST", path + "ModelInfer", framed(infer()), GRPC)
    twice = await wire().ask(
        "POST", path + "ModelInfer", b"", [*GRPC.items(), ("authorization", "a"), ("authorization", "b")]
    )
    own = wire().application.refuse(None, 408, "too slow")

    codes = [reply.trailers["grpc-status"] for reply in (unknown, unframed_, broken, large, twice)]
    assert codes == ["12", "3", "3", "3", "3"]
    assert dict(own.trailers)[b"grpc-status"] == b"4"


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
        assert (await call(name, message, on=wire(extensions=ALLOWED)))[1]["grpc-status"] == code


async def stream(path, *sent, on=None):
    reply = await (on or wire()).ask("POST", path, framed(*sent), GRPC)
    return unframed(reply.body), reply.trailers


STREAM = f"/{messages.SERVICE}/ModelStreamInfer"


async def test_stream_infer():
    """Each request has one answer, in order; what is wrong with one is told in its place."""
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])

    bodies, trailers = await stream(
        STREAM, infer("1"), wrong, infer("2", triton_enable_empty_final_response=1)
    )

    first, second, third = map(messages.ModelStreamInferResponse.FromString, bodies)
    assert first.infer_response.id == "1"
    assert first.infer_response.raw_output_contents[0] == b"\0" * 8
    assert "negative dimension" in second.error_message
    assert third.infer_response.parameters["triton_final_response"].bool_param
    assert trailers["grpc-status"] == "0"


async def test_true_statuses_for_who_asks():
    """With triton_grpc_error the first error ends the stream; with anything else it is told within."""
    wrong = messages.ModelInferRequest(model_name="digits")
    wrong.inputs.add(name="x", datatype="FP32", shape=[-1])
    body = framed(infer("1"), wrong, infer("2"))

    for said, count, status in (("true", 1, "3"), ("false", 3, "0")):
        reply = await wire().ask("POST", STREAM, body, {**GRPC, "triton_grpc_error": said})

        assert (len(unframed(reply.body)), reply.trailers["grpc-status"]) == (count, status)
        assert ("negative dimension" in unquote(reply.trailers.get("grpc-message", ""))) == (status == "3")


async def test_streams_end_with_a_status():
    """Broken framing and bugs end a stream after what was answered."""
    body = framed(infer("1")) + b"\0\0"
    reply = await wire().ask("POST", STREAM, body, GRPC)
    bug = await wire(ScriptedService(ZeroDivisionError("secret"))).ask(
        "POST", STREAM, in_pieces(framed(infer())), GRPC
    )

    assert (len(unframed(reply.body)), reply.trailers["grpc-status"]) == (1, "3")
    assert (bug.body, bug.trailers["grpc-status"], bug.trailers["grpc-message"]) == (
        b"",
        "13",
        "internal error",
    )


async def test_stream_that_is_left_cancels():
    """A client that leaves cancels the request under way."""
    service = ScriptedService(HANG)
    task = asyncio.ensure_future(wire(service).ask("POST", STREAM, framed(infer()), GRPC))
    await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert service.running == 0


HEALTH = "grpc.health.v1.Health"


@pytest.mark.parametrize("name", ["RepositoryModelLoad", "LogSettings", "ModelMetadata"])
async def test_questions_are_small(name):
    """What asks about models is no tensor: it is bounded before it is read, compressed or not."""
    message = b"\x0a\x00" * (1 << 17)
    for headers, sent, flag in (
        ({**GRPC, "grpc-encoding": "gzip"}, gzip.compress(message), b"\1"),
        (GRPC, message, b"\0"),
    ):
        body = flag + len(sent).to_bytes(4, "big") + sent
        reply = await wire().ask("POST", f"/{messages.SERVICE}/{name}", body, headers)
        status = reply.trailers or reply.headers
        assert status["grpc-status"] == "3"
        assert "large" in unquote(status["grpc-message"])


async def test_health():
    """The server and its services serve or not; others are not known."""
    for service, ready, status in (("", True, 1), (messages.SERVICE, False, 2)):
        asked = messages.HealthCheckRequest(service=service)
        told, _ = await call("Check", asked, messages.HealthCheckResponse, wire(ready=ready), service=HEALTH)
        assert told.status == status

    _, trailers = await call("Check", messages.HealthCheckRequest(service="x"), service=HEALTH)
    assert trailers["grpc-status"] == "5"


@virtual_time
async def test_watch():
    """Health is told at once and when it changes."""
    ready = True
    asked = wire(is_ready=lambda: ready, clock=VirtualClock())
    head = asked.head("POST", f"/{HEALTH}/Watch", GRPC)
    body = in_pieces(framed(messages.HealthCheckRequest()))
    answer, _ = await stepped(asked.application.answer_stream(head, body))
    assert isinstance(answer, StreamedAnswer)
    states = aiter(answer.source)

    first = await anext(states)
    ready = False
    second = await anext(states)
    await answer.source.aclose()

    assert [messages.HealthCheckResponse.FromString(m[5:]).status for m in (first, second)] == [1, 2]
    assert asyncio.get_running_loop().time() >= WATCH_S


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection(version):
    """Tools find the services, the file of a symbol and a file by its name."""
    package = f"grpc.reflection.{version}"
    request = messages.message(f"{package}.ServerReflectionRequest")
    response = messages.message(f"{package}.ServerReflectionResponse")

    bodies, trailers = await stream(
        f"/{package}.ServerReflection/ServerReflectionInfo",
        request(list_services="*"),
        request(file_containing_symbol="inference.GRPCInferenceService.ModelInfer"),
        request(file_containing_symbol="inference.ModelInferRequest.InferInputTensor"),
        request(file_by_filename="health.proto"),
        request(file_containing_symbol="nothing"),
        request(all_extension_numbers_of_type="nothing"),
    )

    told = list(map(response.FromString, bodies))
    names = [service.name for service in told[0].list_services_response.service]
    assert {messages.SERVICE, HEALTH, f"{package}.ServerReflection"} <= set(names)
    assert all(answer.file_descriptor_response.file_descriptor_proto for answer in told[1:4])
    assert [answer.error_response.error_code for answer in told[4:]] == [5, 5]
    assert trailers["grpc-status"] == "0"
