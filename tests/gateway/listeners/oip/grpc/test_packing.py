"""Compressed messages over the seam of the gRPC application, and which answers are compressed."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.wire.grpc_framing import frame
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.exchange import Wire

GRPC = {"content-type": "application/grpc", "te": "trailers"}
INFER = f"/{messages.SERVICE}/ModelInfer"
STREAM = f"/{messages.SERVICE}/ModelStreamInfer"


class CachedService:
    """What ``service`` answers without waiting is there at once, as a cache's answers are."""

    def __init__(self, service):
        self._service = service

    def __call__(self, request):
        try:
            self._service(request).send(None)
        except StopIteration as ended:
            return ended.value
        raise AssertionError


def wire(service=None) -> Wire:
    return Wire(GrpcApplication(fake_data_plane(service or EchoService())), is_http2=True)


def framed(*sent) -> bytes:
    return b"".join(b"".join(frame([message.SerializeToString()])) for message in sent)


def unframed(body: bytes) -> list[bytes]:
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found.append(body[5 : 5 + size])
        body = body[5 + size :]
    return found


def large_infer(elements=1000):
    message = messages.ModelInferRequest(model_name="digits", raw_input_contents=[bytes(4 * elements)])
    message.inputs.add(name="x", datatype="FP32", shape=[1, elements])
    return message


@pytest.mark.parametrize(("elements", "flag"), [(60_000, 1), (70_000, 0)])
async def test_large_answers_are_not_compressed(elements, flag):
    """Above 256 KiB it would hold others up for longer than they should wait."""
    headers = GRPC | {"grpc-encoding": "gzip", "grpc-accept-encoding": "gzip"}

    reply = await wire().ask("POST", INFER, framed(large_infer(elements)), headers)

    assert reply.trailers["grpc-status"] == "0"
    assert reply.body[0] == flag


@pytest.mark.parametrize(("coding", "unpack"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
async def test_compressed_answer(coding, unpack):
    """A call in a coding is answered in it: a small message of it too, and one that is there at once."""
    plain = large_infer().SerializeToString()
    packed = gzip.compress(plain) if coding == "gzip" else zlib.compress(plain)
    headers = {**GRPC, "grpc-encoding": coding, "grpc-accept-encoding": f"identity,{coding}"}

    for body in (b"\1" + len(packed).to_bytes(4, "big") + packed, framed(large_infer())):
        reply = await wire(CachedService(EchoService())).ask("POST", INFER, body, headers)

        assert reply.headers["grpc-encoding"] == coding
        assert (reply.body[0], reply.waited) == (1, False)
        answer = messages.ModelInferResponse.FromString(unpack(reply.body[5:]))
        assert answer.raw_output_contents[0] == bytes(4000)
        assert reply.trailers["grpc-status"] == "0"


async def test_answers_that_are_not_compressed():
    """A client that does not compress, one that does not accept it, and what does not shrink."""
    noise = large_infer()
    noise.raw_input_contents[0] = random.Random(1).randbytes(4000)
    for message, coding, accepted in (
        (large_infer(), None, "identity,gzip"),
        (large_infer(), "gzip", "identity"),
        (large_infer(1), "gzip", "identity,gzip"),
        (noise, "gzip", "identity,gzip"),
    ):
        headers = {**GRPC, "grpc-accept-encoding": accepted}
        if coding:
            headers["grpc-encoding"] = coding
        reply = await wire().ask("POST", INFER, framed(message), headers)

        (body,) = unframed(reply.body)
        assert reply.body[0] == 0
        answer = messages.ModelInferResponse.FromString(body)
        assert answer.raw_output_contents == message.raw_input_contents


async def test_a_large_compressed_message_waits_for_a_thread():
    """It is inflated aside, and answered; nothing of it is left when it is no gzip."""
    packed = gzip.compress(large_infer(1 << 19).SerializeToString(), 0)
    headers = {**GRPC, "grpc-encoding": "gzip"}
    on = wire(CachedService(EchoService()))
    replies = []
    for body in (packed, packed[:-1] + bytes([packed[-1] ^ 1])):
        prefix = b"\1" + len(body).to_bytes(4, "big")
        replies.append(await on.ask("POST", INFER, prefix + body, headers))

    assert [(reply.waited, reply.trailers["grpc-status"]) for reply in replies] == [(True, "0"), (True, "3")]


async def test_streams_are_compressed_message_by_message():
    """What is worth it is compressed, what is not is sent as it is."""
    headers = {**GRPC, "grpc-encoding": "gzip", "grpc-accept-encoding": "gzip"}

    reply = await wire().ask("POST", STREAM, framed(large_infer(1), large_infer()), headers)

    first, second = unframed(reply.body)
    assert reply.headers["grpc-encoding"] == "gzip"
    replies = messages.ModelStreamInferResponse.FromString(first)
    assert replies.infer_response.raw_output_contents[0] == bytes(4)
    replies = messages.ModelStreamInferResponse.FromString(gzip.decompress(second))
    assert replies.infer_response.raw_output_contents[0] == bytes(4000)
