"""The REST application over its seam."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import msgspec
import numpy as np
import pytest

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.errors import Fault, GatewayError
from gateway.core.tensor import Tensor
from gateway.http.exchange import Answer, BodyPolicy
from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from gateway.listeners.oip.rest.application import RestApplication
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from gateway.wire.faults import STATUSES
from tests.fakes.data_plane import EchoService, FakeCatalog, fake_data_plane
from tests.fakes.exchange import Wire
from tests.fakes.service import HANG, ScriptedService, answer

INFER = "/v2/models/digits/infer"
ONE = ModelSpec(
    "digits",
    ("1",),
    "onnxruntime_onnx",
    (TensorSpec("x", "FP32", (-1, 2)),),
    (TensorSpec("x", "FP32", (-1, 2)),),
)
WORDS = ModelSpec(
    "words", ("1",), "", (TensorSpec("t", "BYTES", (-1, 1)),), (TensorSpec("t", "BYTES", (-1, 1)),)
)


def wire(service=None, extensions: Extensions | None = None, **changes) -> Wire:
    changes.setdefault("catalog", FakeCatalog(ONE, WORDS))
    return Wire(RestApplication(fake_data_plane(service or EchoService(), **changes), extensions))


def binary(tail: bytes = b"\0" * 8, **fields) -> tuple[bytes, dict[str, str]]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}}
    head = msgspec.json.encode({"inputs": [tensor], "parameters": {"binary_data_output": True}, **fields})
    return head + tail, {"Inference-Header-Content-Length": str(len(head))}


def listed(**fields) -> dict:
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}], **fields}


async def test_binary_both_ways():
    """Elements go in and come out as they are, in one step, without a task."""
    body, headers = binary(np.array([1, 2], np.float32).tobytes())

    for _ in range(2):
        reply = await wire().ask("POST", INFER, body, headers)

        assert (reply.status, reply.waited) == (200, False)
        length = int(reply.headers["inference-header-content-length"])
        assert reply.headers["content-type"] == "application/octet-stream"
        assert msgspec.json.decode(reply.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
        assert reply.body[length:] == body[-8:]


async def test_json_both_ways():
    """JSON in, JSON out, with the id and where the answer came from."""
    reply = await wire().ask("POST", INFER, listed(id="r"))

    assert reply.json()["id"] == "r"
    assert reply.json()["outputs"][0]["data"] == [1.0, 2.0]
    assert reply.headers["x-edgeway-provenance"] == "central"
    assert reply.headers["x-edgeway-policy-generation"] == "7"


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_both_ways(coding, pack):
    """The length of the JSON is that of the uncompressed one, both ways."""
    body, headers = binary()
    extensions = Extensions(settings=ProtocolSettings(compress_from_bytes=1))
    headers |= {"Content-Encoding": coding, "Accept-Encoding": coding}

    reply = await wire(extensions=extensions).ask("POST", INFER, pack(body), headers)

    assert reply.headers["content-encoding"] == coding
    plain = zlib.decompress(reply.body, 47)
    length = int(reply.headers["inference-header-content-length"])
    assert msgspec.json.decode(plain[:length])["model_name"] == "digits"
    assert plain[length:] == bytes(8)


async def test_small_answers_are_not_compressed():
    """What compression would not help goes out as it is."""
    body, headers = binary()

    reply = await wire().ask("POST", INFER, body, headers | {"Accept-Encoding": "gzip"})

    assert "content-encoding" not in reply.headers


@pytest.mark.parametrize(("elements", "coding"), [(60_000, "gzip"), (70_000, None)])
async def test_large_answers_are_not_compressed(elements, coding):
    """Above 256 KiB it would hold others up for longer than they should wait."""
    head = (
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[%d],"parameters":{"binary_data_size":%d}}],%b}'
        % (
            elements,
            4 * elements,
            b'"parameters":{"binary_data_output":true}',
        )
    )
    said = {"Inference-Header-Content-Length": str(len(head)), "Accept-Encoding": "gzip"}

    reply = await wire().ask("POST", INFER, head + bytes(4 * elements), said)

    assert reply.status == 200
    assert reply.headers.get("content-encoding") == coding


async def test_other_codings_are_refused():
    """501, with those that are known."""
    reply = await wire().ask("POST", INFER, b"x", {"Content-Encoding": "br"})

    assert (reply.status, reply.headers["accept-encoding"]) == (501, "gzip, deflate")
    assert "gzip or deflate" in reply.error


async def test_identity_is_no_coding():
    """Some clients say that they did nothing."""
    body, headers = binary()

    assert (await wire().ask("POST", INFER, body, headers | {"Content-Encoding": "identity"})).status == 200


async def test_raw_body():
    """An inference header of 0 bytes: the body is the one input, the outputs are binary."""
    data = np.array([3, 4], np.float32).tobytes()

    reply = await wire().ask("POST", INFER, data, {"Inference-Header-Content-Length": "0"})

    length = int(reply.headers["inference-header-content-length"])
    assert msgspec.json.decode(reply.body[:length])["outputs"][0]["shape"] == [1, 2]
    assert reply.body[length:] == data


async def test_classification():
    """The highest elements as text."""
    outputs = [{"name": "x", "parameters": {"classification": 1}}]

    reply = await wire().ask("POST", INFER, listed(outputs=outputs))

    (output,) = reply.json()["outputs"]
    assert (output["datatype"], output["shape"], output["data"]) == ("BYTES", [1, 1], ["2.000000:1"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/v2/models/x/nowhere", 404),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
        ("DELETE", "/v2/health/live", 405),
        ("POST", "/v2/models/digits/stats", 405),
        ("GET", "/v2/models/unknown", 404),
        ("GET", "/v2/models/digits/versions/9", 404),
        ("GET", "/v2/models/unknown/config", 404),
        ("GET", "/v2/models/unknown/stats", 404),
        ("POST", "/v2/models/unknown/generate", 404),
        ("POST", "/v2/systemsharedmemory/region/r/register", 501),
        ("POST", "/v2/repository/models/m/load", 403),
        ("POST", "/v2/repository/models/m/unload", 403),
        ("GET", "/v2/" + "x" * 300, 404),
    ],
)
async def test_refusals_are_json(method, path, status):
    """Every refusal is an object with the key ``error``."""
    reply = await wire().ask(method, path, b"{}" if method == "POST" else b"")

    assert (reply.status, list(reply.json())) == (status, ["error"])
    assert reply.headers["content-type"] == "application/json"
    assert ("allow" in reply.headers) is (status == 405)


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"{", {}, "failed to parse"),
        (b"{}", {}, "inputs"),
        (listed(parameters={"triton_x": 1}), {}, "reserved"),
        (listed(parameters={"priority": -1}), {}, "priority"),
        (listed(parameters={"timeout": -1}), {}, "timeout"),
        (listed(), {"Inference-Header-Content-Length": "x"}, "whole number"),
        (listed(), {"Inference-Header-Content-Length": "99999"}, "larger than the body"),
        (listed(), {"X-Request-Timeout-Ms": "soon"}, "milliseconds"),
        (b"no gzip", {"Content-Encoding": "gzip"}, "not valid gzip"),
        (b"\0" * 7, {"Inference-Header-Content-Length": "0"}, "shape needs 8 bytes"),
        (listed(outputs=[{"name": "x", "parameters": {"classification": -1}}]), {}, "classification"),
    ],
)
async def test_bad_requests(body, headers, said):
    """What is wrong with a request is said with 400, and counted."""
    front_wire = wire()

    reply = await front_wire.ask("POST", INFER, body, headers)

    assert reply.status == 400
    assert said in reply.error


async def test_twice_given_credential_is_refused():
    """A proxy that appends must not let its clients choose."""
    body, headers = binary()
    pairs = [*headers.items(), ("Authorization", "a"), ("Authorization", "b")]

    assert (await wire().ask("POST", INFER, body, pairs)).status == 400


@pytest.mark.parametrize("fault", list(Fault))
async def test_every_fault_has_its_status(fault):
    """The table of faults is followed; overload says when to come again."""
    error = GatewayError(fault, "why")

    reply = await wire(ScriptedService(error)).ask("POST", INFER, listed())

    assert (reply.status, reply.error) == (STATUSES[fault].http, "why")
    assert ("retry-after" in reply.headers) is (fault is Fault.OVERLOADED)


async def test_bugs_are_not_told():
    """An unexpected exception is an internal error, without a word about what it was."""
    reply = await wire(ScriptedService(ZeroDivisionError("secret"))).ask("POST", INFER, listed())

    assert (reply.status, reply.error) == (500, "internal error")


async def test_client_that_leaves_cancels():
    """Cancelling the answer reaches the service."""
    service = ScriptedService(HANG)
    task = asyncio.ensure_future(wire(service).ask("POST", INFER, listed()))
    await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert service.running == 0


async def test_answers_that_wait():
    """A service that waits is waited for."""
    reply = await wire(ScriptedService(0.001)).ask("POST", INFER, listed())

    assert (reply.status, reply.waited) == (200, True)


async def test_caller_is_read_from_the_headers():
    """Tenant, hops and address count from a trusted peer, trace and deadline from anyone."""
    service = EchoService()
    said = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Edgeway-Tenant": "clinic",
        "X-Edgeway-Hops": "1",
        "Authorization": "Bearer t",
        "traceparent": "00-ab",
        "tracestate": "a=b",
        "X-Request-Timeout-Ms": "5000",
    }

    await wire(service).ask("POST", INFER, listed(), said)

    seen = service.last
    assert (seen.caller.address, seen.caller.tenant, seen.hops) == ("203.0.113.9", "clinic", 1)
    assert seen.trace == (("traceparent", "00-ab"), ("tracestate", "a=b"))
    assert seen.deadline < asyncio.get_running_loop().time() + 6


def test_refusals_of_the_connection():
    """A connection's own refusals are rendered alike, with a head and without."""
    reply = wire().application.refuse(None, 431, "too many headers")

    assert reply.status == 431
    assert b"too many headers" in bytes(reply.body[0])
    assert "<RestApplication" in repr(wire().application)


async def test_body_too_large():
    """413, in JSON."""
    body, headers = binary()

    assert (await wire(max_body_bytes=10).ask("POST", INFER, body, headers)).status == 413


async def test_health_and_metadata():
    """Bodies that every client accepts."""
    live = await wire().ask("GET", "/v2/health/live")
    ready = await wire().ask("GET", "/v2/health/ready")
    not_ready = await wire(ready=False).ask("GET", "/v2/health/ready")
    server = await wire().ask("GET", "/v2")
    model = await wire().ask("GET", "/v2/models/digits/versions/1")
    model_ready = await wire().ask("GET", "/v2/models/digits/ready")

    assert live.json() == {"live": True}
    assert ready.json() == {"ready": True, "live": True}
    assert (not_ready.status, not_ready.json()["ready"]) == (503, False)
    assert {"statistics", "classification"} <= set(server.json()["extensions"])
    assert model.json()["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    assert model_ready.json() == {"name": "digits", "ready": True}


async def test_generate():
    """Fields become inputs and parameters, outputs become fields."""
    service = EchoService()

    reply = await wire(service).ask(
        "POST", "/v2/models/words/generate", {"t": "hello", "id": "r", "top": 3, "parameters": {"low": 1}}
    )

    assert reply.json() == {"model_name": "words", "model_version": "1", "id": "r", "t": "hello"}
    assert service.last.inputs[0].shape == (1, 1)
    assert dict(service.last.parameters) == {"top": 3, "low": 1}


async def test_generate_stream():
    """The same as one server-sent event."""
    body = gzip.compress(msgspec.json.encode({"x": [1, 2]}))
    headers = {"Content-Encoding": "gzip"}

    reply = await wire().ask("POST", "/v2/models/digits/generate_stream", body, headers)

    assert reply.headers["content-type"] == "text/event-stream"
    assert reply.body == b'data: {"model_name":"digits","model_version":"1","x":[1.0,2.0]}\n\n'


@pytest.mark.parametrize(
    "fields", [{"x": ["a"]}, {"x": "a"}, {"x": [1, 2, 3]}, {"other": [1]}, {"id": 3}, {"x": {}}]
)
async def test_generate_refuses(fields):
    """Values that do not fit the model, and parameters that are none."""
    assert (await wire().ask("POST", "/v2/models/digits/generate", fields)).status == 400


async def test_bf16_and_fp16_pass():
    """Datatypes that numpy or JSON do not have travel as bytes."""
    for datatype in ("BF16", "FP16"):
        tensor = Tensor("x", datatype, (1, 2), b"\1\2\3\4")
        inputs = [{"name": "x", "datatype": datatype, "shape": [1, 2], "parameters": {"binary_data_size": 4}}]
        head = msgspec.json.encode({"inputs": inputs, "parameters": {"binary_data_output": True}})
        headers = {"Inference-Header-Content-Length": str(len(head))}

        reply = await wire().ask("POST", INFER, head + tensor.data, headers)

        assert reply.body.endswith(tensor.data)
        as_json = msgspec.json.encode({"inputs": inputs})
        headers = {"Inference-Header-Content-Length": str(len(as_json))}
        assert (await wire().ask("POST", INFER, as_json + tensor.data, headers)).status == 400


async def test_management():
    """Configuration, statistics, index, logging and tracing are told; shared memory has no regions."""
    asked = wire(extensions=Extensions(logging=LogSettings(), tracing=TraceSettings()))

    config = (await asked.ask("GET", "/v2/models/digits/config")).json()
    stats = (await asked.ask("GET", "/v2/models/digits/stats")).json()
    tracing = (await asked.ask("GET", "/v2/models/digits/trace/setting")).json()
    logging = (await asked.ask("GET", "/v2/logging")).json()

    assert (config["name"], config["max_batch_size"], config["input"][0]["dims"]) == ("digits", 0, [-1, 2])
    zero = {"count": 0, "ns": 0}
    (found,) = stats["model_stats"]
    assert (found["name"], found["version"]) == ("digits", "1")
    names = "success fail queue compute_input compute_infer compute_output cache_hit cache_miss".split()
    assert found["inference_stats"] == dict.fromkeys(names, zero)
    assert tracing["trace_level"] == ["OFF"]
    assert tracing["trace_rate"] == "1"
    assert logging["log_file"] == ""
    assert (await asked.ask("GET", "/v2/models/stats")).json() == {"model_stats": []}
    assert (await asked.ask("POST", "/v2/repository/index", {"ready": True})).json() == []
    assert (await asked.ask("GET", "/v2/models")).json() == {"models": []}
    assert (await asked.ask("GET", "/v2/systemsharedmemory/status")).json() == []


async def test_changes_are_an_operators():
    """Settings of the process are changed on a public port only when its settings say so."""
    allowed = Extensions(
        logging=LogSettings(), tracing=TraceSettings(), settings=ProtocolSettings(admin_calls=True)
    )

    for path in ("/v2/trace/setting", "/v2/models/digits/trace/setting"):
        assert (await wire().ask("POST", path, {"trace_rate": 1})).status == 403
        assert (await wire(extensions=allowed).ask("POST", path, {"trace_rate": 1})).status == 200
    for_one = await wire(extensions=allowed).ask("POST", "/v2/models/digits/trace/setting", {"trace_rate": 2})
    assert (for_one.status, "of all models" in for_one.body.decode()) == (501, True)
    assert (await wire().ask("POST", "/v2/logging", {"log_info": True})).status == 403
    assert (await wire(extensions=allowed).ask("POST", "/v2/logging", {"log_nothing": True})).status == 400
    assert (await wire(extensions=allowed).ask("POST", "/v2/repository/models/m/load")).status == 404
    assert (await wire(extensions=allowed).ask("POST", "/v2/repository/models/m/unload", {})).status == 404
    bad = {"parameters": {"unload_dependents": 3}}
    assert (await wire(extensions=allowed).ask("POST", "/v2/repository/models/m/unload", bad)).status == 400


@pytest.mark.parametrize("verb", ["load", "unload"])
async def test_a_stranger_cannot_make_a_load_be_read(verb):
    """What only an operator may say is refused by its head; said by one it is still small."""
    path = f"/v2/repository/models/m/{verb}"
    stranger, operator = (
        wire(),
        wire(
            extensions=Extensions(
                logging=LogSettings(), tracing=TraceSettings(), settings=ProtocolSettings(admin_calls=True)
            )
        ),
    )

    refused = stranger.application.open(stranger.head("POST", path, {}))
    intake = operator.application.open(operator.head("POST", path, {}))

    assert isinstance(refused, Answer)
    assert refused.status == 403
    assert intake == BodyPolicy(1 << 20)


async def test_stale_words():
    """Whatever the answer says of itself fits into a header."""
    service = ScriptedService(answer("edge", digest="sha\r\nx: y", level="l1"))

    reply = await wire(service).ask("POST", INFER, listed())

    assert reply.headers["x-edgeway-model-digest"] == "shax: y"
