"""One inference endpoint for both encodings: what it makes of a request, and which refusals it counts."""

from __future__ import annotations

import asyncio
import gzip
import math
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.core.cache_control import CacheDirectives
from gateway.core.errors import Fault, GatewayError
from gateway.core.request import Caller
from gateway.core.telemetry import Refused
from gateway.http.exchange import Answer, Fields, Head
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.inference_endpoint import InferenceEndpoint, to_request
from gateway.listeners.oip.request_headers import OipRequestHeaders, header_reader
from gateway.listeners.oip.rest.application import RestApplication
from gateway.listeners.refusals import RefusalCounter
from gateway.wire.grpc_framing import frame
from gateway.wire.oip.inference import PLAIN_OUTPUTS, Inference, OutputFormat
from gateway.wire.oip.paths import Operation, ParsedPath
from gateway.wire.proto import messages
from gateway.wire.trust import Trust
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.exchange import Reply, Wire
from tests.fakes.service import HANG, ScriptedService
from tests.fakes.telemetry import RecordingTelemetry

INFER = "/v2/models/digits/infer"
CALL = f"/{messages.SERVICE}/ModelInfer"
PATH = ParsedPath(Operation.INFER, "digits", "2")


def headers(**values: str) -> OipRequestHeaders:
    pairs = tuple((name.replace("_", "-"), value) for name, value in values.items())
    data_plane = fake_data_plane(EchoService(), trust=Trust(gateways=["10.0.0.1/32"]))
    reader = header_reader(data_plane, RefusalCounter(data_plane.telemetry, "grpc"), is_grpc=True)
    return reader.read(Head("POST", INFER, pairs, "10.0.0.1"))


def inference(timeout_s: float = math.inf, **fields: Any) -> Inference:
    return Inference("r-1", (), ("y",), OutputFormat(classes={"y": 3}), {"low": 1}, timeout_s, **fields)


def test_a_request_is_put_together():
    """From the path, the body and the headers."""
    read = headers(
        x_edgeway_tenant="clinic", x_edgeway_hops="1", x_edgeway_regions="a,b", traceparent="00-ab"
    )

    request = to_request(PATH, inference(), read, 5.0)

    assert (request.model, request.version, request.id) == ("digits", "2", "r-1")
    assert (request.outputs, request.parameters, request.classes) == (("y",), {"low": 1}, {"y": 3})
    assert request.caller == Caller("", "clinic", vouched=True)
    assert (request.hops, request.regions) == (1, {"a", "b"})
    assert request.trace == (("traceparent", "00-ab"),)
    assert request.deadline == math.inf


@pytest.mark.parametrize(
    ("header", "parameter", "control"),
    [
        (None, "no-cache", CacheDirectives(no_cache=True)),
        ("no-cache", None, CacheDirectives(no_cache=True)),
        ("max-age=5, no-store", "max-age=3", CacheDirectives(no_store=True, max_age_s=3)),
        ("max-age=3", "max-age=5, only-if-cached", CacheDirectives(only_if_cached=True, max_age_s=3)),
        ("max-age=3", "nonsense", CacheDirectives(max_age_s=3)),
        ("nonsense", True, None),
        (None, 7, None),
        ("x" * 20_000, "y" * 20_000, None),
        (None, None, None),
    ],
)
def test_what_is_said_to_the_cache(header, parameter, control):
    """By header, by parameter or by both; no model and no key sees the parameter."""
    said = {"low": 1} if parameter is None else {"cache_control": parameter, "low": 1}
    read = headers(**({} if header is None else {"cache_control": header}))

    request = to_request(PATH, replace(inference(), parameters=said), read, 5.0)

    assert request.cache_control == control
    assert request.parameters == {"low": 1}


def test_several_lines_for_the_cache_are_one_list():
    pairs = (("cache-control", "max-age=5"), ("cache-control", "no-cache"))
    data_plane = fake_data_plane(EchoService())
    reader = header_reader(data_plane, RefusalCounter(data_plane.telemetry, "http"), is_grpc=False)
    read = reader.read(Head("POST", INFER, pairs, "10.0.0.1"))

    request = to_request(PATH, inference(), read, 5.0)
    assert request.cache_control == CacheDirectives(no_cache=True, max_age_s=5)


class Noted:
    """A lesson that says when it is learned."""

    is_whole = False

    def __init__(self) -> None:
        self.count = 0

    def learn(self) -> None:
        self.count += 1


@pytest.mark.parametrize(("header", "learned"), [("no-store", 0), ("no-cache", 1), ("x", 1)])
async def test_nothing_is_remembered_of_what_is_not_to_be_stored(header, learned):
    """Nor is how its body was read."""
    lesson = Noted()
    data_plane = fake_data_plane(EchoService())
    reader = header_reader(data_plane, RefusalCounter(data_plane.telemetry, "http"), is_grpc=False)
    head = Head("POST", INFER, (("cache-control", header),), "10.0.0.1")
    endpoint = InferenceEndpoint(
        data_plane, Fixed(lesson), reader, RefusalCounter(data_plane.telemetry, "http")
    )

    answered = endpoint(head, PATH, b"", data_plane.generation())
    if not isinstance(answered, Answer):
        await answered
    assert lesson.count == learned


class Fixed:
    """A codec of one inference."""

    def __init__(self, lesson: Noted) -> None:
        self._lesson = lesson

    def decode(self, _path, _headers, _body):
        return Inference("r", (), (), OutputFormat(), {}, math.inf, lesson=self._lesson)

    def layout(self, _headers, _body):
        return None

    def coding(self, _headers):
        return None

    def encode(self, *_):
        return Answer(200, Fields())


def test_a_message_may_name_the_model():
    """Over gRPC the path does not."""
    request = to_request(ParsedPath(Operation.INFER), inference(model="words", version="7"), headers(), 0.0)

    assert (request.model, request.version) == ("words", "7")


@pytest.mark.parametrize(
    ("timeout_s", "values", "deadline"),
    [
        (4.0, {}, 104.0),
        (4.0, {"grpc_timeout": "3S"}, 103.0),
        (4.0, {"grpc_timeout": "9S"}, 104.0),
        (4.0, {"x_request_timeout_ms": "9000"}, 104.0),
        (4.0, {"grpc_timeout": "9S", "x_request_timeout_ms": "2000"}, 102.0),
        (4.0, {"grpc_timeout": "1S", "x_request_timeout_ms": "2000"}, 101.0),
        (math.inf, {"x_request_timeout_ms": "2000"}, 102.0),
    ],
)
def test_the_shortest_time_limit_counts(timeout_s, values, deadline):
    """The parameter, the header of HTTP and the one of gRPC."""
    assert to_request(PATH, inference(timeout_s), headers(**values), 100.0).deadline == deadline


def json_body(**fields: Any) -> bytes:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    return msgspec.json.encode({"inputs": [tensor], **fields})


def message(*shape: int) -> bytes:
    sent = messages.ModelInferRequest(model_name="digits")
    sent.inputs.add(name="x", datatype="FP32", shape=shape or (1, 2))
    sent.raw_input_contents.append(bytes(8))
    return sent.SerializeToString()


def packed(content: bytes) -> bytes:
    return b"\1" + len(content).to_bytes(4, "big") + content


GZIP = {"content-encoding": "gzip"}
RAW = {"inference-header-content-length": "0"}
GRPC_GZIP = {"grpc-encoding": "gzip"}
TWICE = [("authorization", "a"), ("authorization", "b")]

REFUSED = {
    "http body": ("http", b"{", {}, "invalid"),
    "http body, compressed": ("http", gzip.compress(b"{"), GZIP, "invalid"),
    "http compression": ("http", b"no gzip", GZIP, "invalid"),
    "http compression that is cut": ("http", gzip.compress(json_body())[:-4], GZIP, "invalid"),
    "http compression that grows": ("http", gzip.compress(bytes(1 << 20)), GZIP, "too_large"),
    "http coding": ("http", b"", {"content-encoding": "br"}, "501"),
    "http raw body": ("http", bytes(3), RAW, "invalid"),
    "http raw body, compressed": ("http", gzip.compress(bytes(3)), GZIP | RAW, "invalid"),
    "http time limit": ("http", json_body(), {"x-request-timeout-ms": "soon"}, "invalid"),
    "http time limit, compressed": (
        "http",
        gzip.compress(json_body()),
        GZIP | {"x-request-timeout-ms": "soon"},
        "invalid",
    ),
    "http headers": ("http", json_body(), TWICE, "invalid"),
    "grpc message": ("grpc", b"".join(frame([message(-1)])), {}, "invalid"),
    "grpc message, compressed": ("grpc", packed(gzip.compress(message(-1))), GRPC_GZIP, "invalid"),
    "grpc framing": ("grpc", b"\0", {}, "invalid"),
    "grpc compression": ("grpc", packed(b"no gzip"), GRPC_GZIP, "invalid"),
    "grpc compression that grows": ("grpc", packed(gzip.compress(bytes(1 << 20))), GRPC_GZIP, "too_large"),
    "grpc coding": ("grpc", packed(message()), {"grpc-encoding": "br"}, "unsupported"),
    "grpc time limit": ("grpc", b"".join(frame([message()])), {"grpc-timeout": "soon"}, "invalid"),
    "grpc headers": ("grpc", b"".join(frame([message()])), TWICE, "invalid"),
}


async def ask(protocol: str, body: bytes, sent: Any, service: Any, telemetry: RecordingTelemetry) -> Reply:
    data_plane = fake_data_plane(service, telemetry=telemetry, max_body_bytes=1 << 19)
    if protocol == "http":
        return await Wire(RestApplication(data_plane)).ask("POST", INFER, body, sent)
    pairs = [("content-type", "application/grpc"), *(sent.items() if isinstance(sent, dict) else sent)]
    return await Wire(GrpcApplication(data_plane), is_http2=True).ask("POST", CALL, body, pairs)


@pytest.mark.parametrize(("protocol", "body", "sent", "reason"), REFUSED.values(), ids=REFUSED)
async def test_every_refusal_is_counted_once(protocol, body, sent, reason):
    """Whether the body had to be waited for or not; the stack never sees the request."""
    service, telemetry = EchoService(), RecordingTelemetry()

    reply = await ask(protocol, body, sent, service, telemetry)

    assert reply.trailers.get("grpc-status", reply.status) not in {200, "0"}
    assert telemetry.events == [Refused(protocol, reason)]
    assert service.requests == []


GOOD = {
    "http": ("http", json_body(), {}),
    "http, compressed": ("http", gzip.compress(json_body()), GZIP),
    "http, raw": ("http", bytes(16), RAW),
    "grpc": ("grpc", b"".join(frame([message()])), {}),
    "grpc, compressed": ("grpc", packed(gzip.compress(message())), GRPC_GZIP),
}
ACCEPTED = pytest.mark.parametrize(("protocol", "body", "sent"), GOOD.values(), ids=GOOD)


@ACCEPTED
async def test_errors_of_the_stack_are_not_counted_again(protocol, body, sent):
    """Its own filters count them."""
    telemetry = RecordingTelemetry()
    error = GatewayError(Fault.FORBIDDEN, "no region is allowed")

    reply = await ask(protocol, body, sent, ScriptedService(error), telemetry)

    assert reply.trailers.get("grpc-status", str(reply.status)) in {"403", "7"}
    assert telemetry.events == []


@ACCEPTED
async def test_a_client_that_leaves_cancels(protocol, body, sent):
    """Nothing stays behind, and nothing is counted as a refusal."""
    service, telemetry = ScriptedService(HANG), RecordingTelemetry()
    task = asyncio.ensure_future(ask(protocol, body, sent, service, telemetry))
    while not service.running:
        await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (service.running, telemetry.events) == (0, [])


async def test_a_head_of_http_has_no_grpc_timeout():
    """The header means nothing there, so that it is not even checked."""
    service = EchoService()

    reply = await ask("http", json_body(), {"grpc-timeout": "soon"}, service, RecordingTelemetry())

    assert reply.status == 200
    assert service.last.deadline == math.inf


def test_without_a_format_outputs_are_plain():
    """The classes of a request are those of its output format."""
    plain = Inference("", (), (), PLAIN_OUTPUTS, {}, math.inf)

    assert to_request(PATH, plain, headers(), 0.0).classes == {}
