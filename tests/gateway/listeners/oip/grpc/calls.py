"""What the tests of gRPC call, and over what."""

from __future__ import annotations

from gateway.listeners.oip.extensions import Extensions
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.telemetry.log_settings import LogSettings
from gateway.telemetry.trace_settings import TraceSettings
from gateway.wire.grpc_framing import frame
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.exchange import Wire
from tests.fakes.operator import BEARER, OPEN

GRPC = {"content-type": "application/grpc", "te": "trailers"}


ALLOWED = Extensions(logging=LogSettings(), tracing=TraceSettings(), **OPEN)
OPERATOR = {**GRPC, **BEARER}


HEALTH = "grpc.health.v1.Health"


STREAM = f"/{messages.SERVICE}/ModelStreamInfer"


def wire(service=None, extensions=None, **changes) -> Wire:
    data_plane = fake_data_plane(service or EchoService(), **changes)
    return Wire(GrpcApplication(data_plane, extensions), is_http2=True)


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


async def stream(path, *sent, on=None):
    reply = await (on or wire()).ask("POST", path, framed(*sent), GRPC)
    return unframed(reply.body), reply.trailers


def answers(body: bytes) -> list[str]:
    """The answer to each request of a stream: its id, or what was wrong."""
    found = []
    while body:
        end = 5 + int.from_bytes(body[1:5], "big")
        answer = messages.ModelStreamInferResponse.FromString(body[5:end])
        found.append(answer.error_message or answer.infer_response.id)
        body = body[end:]
    return found


def framed_infer(request_id: str = "r-1", **parameters: int) -> bytes:
    """A ModelInferRequest as a stream carries it."""
    return framed(infer(request_id, **parameters))
