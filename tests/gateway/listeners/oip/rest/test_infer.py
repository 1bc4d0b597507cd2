"""Bodies of infer requests over HTTP, and of their answers."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import zlib

import msgspec
import numpy as np
import pytest

from gateway.core.catalog import ModelSpec
from gateway.core.eager import begin
from gateway.core.tensor import Tensor
from gateway.listeners.oip.extensions import Extensions, ProtocolSettings
from tests.fakes.data_plane import FakeCatalog
from tests.gateway.listeners.oip.rest.requests import INFER, ONE, binary, listed, wire


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


@pytest.mark.parametrize("count", [2, 40_000])
async def test_nan_and_infinity_both_ways(count):
    """By name, as Triton has them; where the settings forbid it, the error says to ask for binary data."""
    values = ["NaN", "-Infinity"] * (count // 2)
    tensor = {"name": "x", "datatype": "FP32", "shape": [count], "data": "@"}
    body = msgspec.json.encode({"inputs": [tensor]}).replace(b'"@"', f"[{', '.join(values)}]".encode())
    refusing = Extensions(settings=ProtocolSettings(json_nan="refuse", max_json_mib=16))

    written = await wire(extensions=None).ask("POST", INFER, body)
    refused = await wire(extensions=refusing).ask("POST", INFER, body)

    assert written.status == 200
    assert b'"data":[NaN,-Infinity' in written.body
    assert json.loads(written.body)["outputs"][0]["data"][1] == -math.inf
    assert refused.status == 400
    assert "ask for it as binary data" in refused.json()["error"]


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


async def test_other_codings_are_refused():
    """501, with those that are known."""
    reply = await wire().ask("POST", INFER, b"x", {"Content-Encoding": "br"})

    assert (reply.status, reply.headers["accept-encoding"]) == (501, "gzip, deflate")
    assert "gzip or deflate" in reply.error


@pytest.mark.parametrize("coding", ["identity", " Identity", ""])
async def test_identity_is_no_coding(coding):
    """Some clients name the coding also where there is none."""
    body, headers = binary()

    assert (await wire().ask("POST", INFER, body, headers | {"Content-Encoding": coding})).status == 200


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
    ("body", "headers", "words"),
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
        (b"\0" * 7, {"Inference-Header-Content-Length": "0"}, "Expected 8, got 7"),
        (listed(outputs=[{"name": "x", "parameters": {"classification": -1}}]), {}, "classification"),
    ],
)
async def test_bad_requests(body, headers, words):
    """What is wrong with a request is said with 400, and counted."""
    connection = wire()

    reply = await connection.ask("POST", INFER, body, headers)

    assert reply.status == 400
    assert words in reply.error


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


async def test_a_raw_body_waits_within_a_task():
    """The catalog may wait for another server, with a time limit."""

    class Waiting(FakeCatalog):
        async def describe(self, model: str, version: str) -> ModelSpec:
            async with asyncio.timeout(30):
                return await super().describe(model, version)

    connection = wire(catalog=Waiting(ONE))
    head = connection.head("POST", INFER, {"Inference-Header-Content-Length": "0"})
    loop = asyncio.get_running_loop()
    answered = loop.create_future()

    def start() -> None:
        connection.application.open(head)
        pending = connection.application.answer(head, bytes(8))
        begin(pending, loop, lambda task: answered.set_result(task.result()))

    loop.call_soon(start)

    assert (await answered).status == 200
