"""ModelInfer: its message and its answer."""

from __future__ import annotations

import asyncio
import gzip

from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService
from tests.gateway.listeners.oip.grpc.calls import (
    GRPC,
    call,
    framed,
    infer,
    wire,
)


async def test_infer():
    """Answered in one step, with its provenance in the trailers."""
    service = EchoService()
    connection = wire(service)

    for _ in range(2):
        answer, trailers = await call("ModelInfer", infer(), messages.ModelInferResponse, connection)

        assert (answer.id, answer.model_name) == ("r-1", "digits")
        assert answer.raw_output_contents[0] == b"\0" * 8
        assert trailers["grpc-status"] == "0"
        assert trailers["x-edgeway-provenance"] == "central"
        assert trailers["x-edgeway-model-digest"] == "sha256:00ff"
    reply = await connection.ask("POST", f"/{messages.SERVICE}/ModelInfer", framed(infer()), GRPC)
    assert not reply.waited
    assert "<GrpcApplication" in repr(connection.application)


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
