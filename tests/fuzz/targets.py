"""What must hold for any bytes: one function per entrance, which raises ``Violation`` where it does not hold.

``python -m tests.fuzz`` drives them with atheris, the tests beside this file with a few thousand mutated
seeds. A target takes nothing but bytes; the same bytes always do the same.
"""

from __future__ import annotations

import asyncio
import re
import struct
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from msgspec.structs import replace

from gateway.core.catalog import ModelSpec, TensorSpec
from gateway.core.clock import LoopClock
from gateway.core.errors import GatewayError
from gateway.core.partitions import Partition
from gateway.core.request import Request, Response
from gateway.core.telemetry import Silence
from gateway.core.tensor import check_size
from gateway.http.exchange import Application
from gateway.http.framing.http1_server import Http1RequestHead as Http1Head
from gateway.http.framing.http1_server import Http1Server, MalformedRequest, RequestEnd
from gateway.http.framing.http2_server import PREFACE
from gateway.http.server.context import ServerContext
from gateway.http.server.http1.connection import Http1ServerConnection
from gateway.http.server.http2.connection import Http2ServerConnection
from gateway.http.server.settings import TransportSettings
from gateway.listeners.oip.grpc.application import GrpcApplication
from gateway.listeners.oip.rest.application import RestApplication
from gateway.listeners.protocol_router import ProtocolRouter, is_grpc
from gateway.wire.oip.generate import decode_generate
from gateway.wire.oip.inference import Inference
from gateway.wire.oip.json import decode_request
from gateway.wire.oip.proto_reuse import InferMessages, reference
from gateway.wire.oip.reuse import RequestJsonCache
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService, fake_data_plane

MOST_TURNS = 200
"""Turns of the loop in which everything must have been answered: the service behind never waits."""


FLOOD_BYTES = 8 << 20
LONGEST_S = 0.5
"""Seconds of the processor; the worst that is known takes a third of it."""


class Violation(AssertionError):  # noqa: N818 - what it is
    """Something that must always hold did not."""


def outcome(call: Callable[[], Any]) -> Any:
    """What a call returns, or that it refused. Any other exception is a violation by itself."""
    try:
        return call()
    except GatewayError:
        return "refused"


_PARTITION = Partition(1, "acme", "anywhere")


def learned(inference: Inference) -> Inference:
    """What was read, once it is answered and remembered."""
    if inference.lesson is not None:
        inference.lesson.learn()
    return replace(inference, lesson=None)


def json(data: bytes) -> None:
    """Bodies of infer requests: read or refused, alike by the reference and by the remembering reader."""
    if not data:
        return
    # One byte chooses where the binary section begins: nowhere, or at that share of the body.
    body = data[1:]
    length = None if data[0] == 0 else len(body) * (data[0] - 1) // 200
    read = outcome(lambda: decode_request(body, length))
    cache = RequestJsonCache()
    for _ in range(3):
        again = outcome(lambda: learned(cache.decode(body, length, _PARTITION)))
        _must(again == read, "reading again gives something else")
    if read != "refused":
        for tensor in read.inputs:
            check_size(tensor)
        layout = cache.layout(body, length, _PARTITION)
        if layout is not None:
            _must(body.startswith(layout.prefix) and layout.size == len(body), "the layout is another body's")
            data_of = [body[start:stop] for start, stop in layout.spans] or [bytes(d) for d in layout.data]
            _must(data_of == [bytes(t.data) for t in read.inputs], "the layout finds other data")


def grpc(data: bytes) -> None:
    """ModelInferRequest: read or refused, alike by protobuf and by the reader that goes past it."""
    read = outcome(lambda: reference(data))
    ours = InferMessages()
    for _ in range(3):
        again = outcome(lambda: learned(ours.decode(data, _PARTITION) or reference(data)))
        _must(again == read, "protobuf reads something else")
    layout = ours.layout(data, _PARTITION)
    if layout is not None:
        ((start, stop),) = layout.spans
        _must(data[start:stop] == bytes(read.inputs[0].data), "the layout finds other data")


def http1(data: bytes) -> None:
    """HTTP/1.1: however the stream is cut, the same requests, each with all of its body; and every accepted
    one is answered.
    """
    if not data:
        return
    step, stream = data[0] + 1, data[1:]
    whole = _framed([stream])
    _must(whole == _framed([stream[i : i + step] for i in range(0, len(stream), step)]), "cuts are seen")
    _must_be_whole(whole)
    written, _ = _loop().run_until_complete(_converse(Http1ServerConnection, [stream]))
    answers, closes = _answers(written, whole)
    ended = sum(isinstance(event, RequestEnd) for event in whole)
    _must(answers >= ended or closes, f"{ended} requests were accepted, {answers} answered")
    _must(closes or not any(isinstance(event, MalformedRequest) for event in whole), "what is broken goes on")


def http2(data: bytes) -> None:
    """HTTP/2: frames of any kind after the preface; nothing is left unanswered or held."""
    if not data:
        return
    step, stream = 16 * (data[0] + 1), PREFACE + _SETTINGS + data[1:]
    _loop().run_until_complete(
        _converse(Http2ServerConnection, [stream[i : i + step] for i in range(0, len(stream), step)])
    )


def flood(data: bytes) -> None:
    """Bodies of which a piece comes again and again, up to ``FLOOD_BYTES``: read or refused before long."""
    if len(data) < 5:
        return
    # The decoder, where the piece begins (two bytes), how long it is; then the body.
    decode = _DECODERS[data[0] % len(_DECODERS)]
    body, start = data[4:], int.from_bytes(data[1:3])
    piece = body[start : start + data[3]]
    if piece:
        stop = start + len(piece)
        body = body[:start] + piece * (FLOOD_BYTES // len(piece)) + body[stop:]
    began = time.process_time()
    outcome(lambda: decode(body))
    took_s = time.process_time() - began
    _must(took_s < LONGEST_S, f"{len(body)} bytes took {took_s:.1f} s, in which nobody else is served")


_SPEC = ModelSpec("m", (), "", (TensorSpec("x", "FP32", (-1,)), TensorSpec("y", "BYTES", (-1,))), ())
_DECODERS: tuple[Callable[[bytes], Any], ...] = (
    lambda body: decode_request(body, None),
    lambda body: InferMessages().decode(body) or reference(body),
    lambda body: decode_generate(_SPEC, body),
)

TARGETS: dict[str, Callable[[bytes], None]] = {
    "json": json,
    "grpc": grpc,
    "http1": http1,
    "http2": http2,
    "flood": flood,
}

_SETTINGS = b"\0\0\0\4\0\0\0\0\0"


def seeds(target: str) -> list[bytes]:
    """Inputs to begin with: each is accepted by its target."""
    tensor = b'{"name":"x","datatype":"FP32","shape":[1,2]'
    listed = b'{"inputs":[' + tensor + b',"data":[1.5,2]}]}'
    binary = b'{"inputs":[' + tensor + b',"parameters":{"binary_data_size":8}}]}'
    raw = np.array([1, 2], np.float32).tobytes()
    message = messages.ModelInferRequest(model_name="digits", id="7", raw_input_contents=[raw])
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    call = message.SerializeToString()
    post = b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b"
    chunked = b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    upgrade = post.replace(b"\r\n\r\n", b"\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n")
    outputs, named = b'{"inputs":[],"outputs":[{"name":"y"},{"name":"z"}]}', b"\x0a\x01m"
    floods: list[tuple[int, bytes, bytes]] = [
        (0, listed, b"1.5,"),
        (0, outputs, b'{"name":"y"},'),
        (0, b'{"inputs":[],"parameters":{"p":0,"q":1}}', b'"p":0,'),
        (1, named + b"\x2a\x00", b"\x2a\x00"),
        (1, named + b"\x32\x00\x3a\x00", b"\x32\x00"),
        (1, call, message.inputs[0].SerializeToString()),
        (2, b'{"x":[0,1]}', b"0,"),
        (2, b'{"y":["","a"]}', b'"",'),
    ]
    return {
        "flood": [
            struct.pack(">BHB", decode, body.index(piece), len(piece)) + body
            for decode, body, piece in floods
        ],
        "json": [b"\0" + listed, bytes([1 + -(-200 * len(binary) // len(binary + raw))]) + binary + raw],
        "grpc": [call, messages.ModelInferRequest(model_name="digits").SerializeToString()],
        "http1": [
            b"\xff" + post % (len(listed), listed) * 2,
            b"\x10" + chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(listed), listed),
            b"\x03GET /v2/health/live HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\n\r\n",
            b"\x30" + upgrade % (len(listed), listed),
        ],
        "http2": [
            b"\xff" + _headers(1, b"\x82\x84\x86\x41\x01a", end=True),
            b"\x02"
            + _headers(1, _POST, end=False)
            + _frame(0, 1, 1, b"\0" + struct.pack(">I", len(call)) + call),
            b"\x40"
            + _headers(1, _POST, end=False)
            + _frame(3, 0, 1, b"\0\0\0\x08")
            + _frame(6, 0, 0, bytes(8)),
        ],
    }[target]


def _literal(name: bytes, value: bytes) -> bytes:
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


_POST = b"\x83\x86\x41\x01a" + b"".join(
    _literal(name, value)
    for name, value in (
        (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _headers(stream: int, block: bytes, *, end: bool) -> bytes:
    return _frame(1, 0x4 | end, stream, block)


def _must(holds: bool, message: str) -> None:
    if not holds:
        raise Violation(message)


def _framed(pieces: list[bytes]) -> list[Any]:
    """The events of a stream, parts of one body joined."""
    parser, events = Http1Server(), []
    for piece in pieces:
        for event in parser.feed(piece):
            if isinstance(event, bytes | memoryview) and events and isinstance(events[-1], bytes):
                events[-1] += bytes(event)
            else:
                events.append(bytes(event) if isinstance(event, memoryview) else event)
    return events


def _must_be_whole(events: list[Any]) -> None:
    """A body has its head's length; else what is left of it would be read as the next request."""
    length, size = None, 0
    for event in events:
        if isinstance(event, Http1Head):
            length, size = event.length, 0
        elif isinstance(event, bytes):
            size += len(event)
        elif isinstance(event, RequestEnd):
            _must(length in {None, size}, f"a body of {length} bytes ends after {size}")


_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


def _answers(written: bytes, events: list[Any]) -> tuple[int, bool]:
    """Read answers back; return how many there are and whether the last one closes."""
    heads = [event for event in events if isinstance(event, Http1Head)]
    count, closes, position = 0, False, 0
    while position < len(written):
        match = _ANSWER.match(written, position)
        _must(match is not None and not closes, "what was written is no sequence of answers")
        assert match is not None
        position = match.end()
        if match[1] == b"100":
            continue
        length = re.search(rb"(?m)^content-length: (\d+)\r$", match[2])
        _must(length is not None, "an answer has no length")
        assert length is not None
        is_head = count < len(heads) and heads[count].method == "HEAD"
        position += 0 if is_head else int(length[1])
        closes = b"connection: close\r\n" in match[2]
        count += 1
    _must(position == len(written), "the last answer is cut")
    return count, closes


class _Transport(asyncio.Transport):
    """A transport of nothing: keeps what is written, and always has room."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self._closing = bytearray(), False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._closing = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


async def _converse(kind: Any, pieces: list[bytes]) -> tuple[bytes, ServerContext]:
    """Speak to a connection and leave; whatever it began must have ended by then."""
    context = ServerContext(application(), TransportSettings(), LoopClock())
    transport = _Transport()
    connection = kind(context, transport, "127.0.0.1")
    context.registry.add(connection, context.address_limits.of("127.0.0.1"))
    try:
        for piece in pieces:
            if transport.is_closing():
                break
            connection.data_received(piece)
        for _ in range(MOST_TURNS):
            if not context.running:
                break
            await asyncio.sleep(0)
        _must(not context.running, f"{context.running} accepted requests are not answered")
        connection.connection_lost(None)
        for _ in range(3):
            await asyncio.sleep(0)
        _must(not context.address_limits.held and not context.registry, f"{context!r} is left behind")
    finally:
        await context.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    return bytes(transport.written), context


class _Echo(EchoService):
    async def __call__(self, request: Request) -> Response:
        self.requests.clear()
        return await super().__call__(request)


@cache
def application() -> Application:
    # Neither keeps what it sees: in a million runs that would look like a leak.
    data_plane = fake_data_plane(_Echo(), telemetry=Silence())
    return ProtocolRouter((is_grpc, GrpcApplication(data_plane)), otherwise=RestApplication(data_plane))


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()
