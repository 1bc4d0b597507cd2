"""Streaming calls over real connections: what they hold, how slow they may be, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ngh2
import pytest

from gateway.core.request import Request, Response
from gateway.core.service import Service
from gateway.http.server import context as context_module
from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings
from gateway.wire.grpc_framing import frame
from gateway.wire.proto import messages
from tests.fakes.data_plane import EchoService
from tests.fakes.http import serving
from tests.fakes.http2_wire import Client, until

INFER = f"/{messages.SERVICE}/ModelStreamInfer"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
SERVING, NOT_SERVING = b"\0\0\0\0\2\x08\1", b"\0\0\0\0\2\x08\2"
CALM = ngh2.ErrorCode.ENHANCE_YOUR_CALM
MIB = 1 << 20


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits are noticed at once."""
    monkeypatch.setattr(context_module, "SWEEP_S", 0.02)


class Slow(EchoService):
    """Answers when it is told to; ``asked``: requests that have come."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.release = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.calls += 1
        await self.release.wait()
        return await super().__call__(request)


def infer(size: int = 8) -> bytes:
    message = messages.ModelInferRequest(model_name="digits", id="r-1")
    message.inputs.add(name="x", datatype="UINT8", shape=[1, size])
    message.raw_input_contents.append(bytes(size))
    return b"".join(map(bytes, frame([message.SerializeToString()])))


@asynccontextmanager
async def talking_to(service: Service, **limits: Any) -> AsyncIterator[tuple[HttpListener, Client]]:
    """A listener before ``service``, and a client of it."""
    async with serving(service, TransportSettings(**limits)) as listener:
        client = Client(*await asyncio.open_connection("127.0.0.1", listener.port))
        client.begin()
        try:
            yield listener, client
        finally:
            client.leave()


def call(client: Client, path: str, body: bytes = b"", *, end: bool = False) -> int:
    head = [(b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", path.encode())]
    head += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    stream = client.http2.send_request(head, end_stream=False)
    say(client, stream, body, end=end)
    return stream


def say(client: Client, stream: int, body: bytes, *, end: bool = False) -> None:
    if body or end:
        client.http2.send_data(stream, body, end_stream=end)
    client.flush()


def status(client: Client, stream: int) -> bytes:
    ends = client.of(stream, ngh2.TrailersReceived) or client.of(stream, ngh2.ResponseReceived)
    return dict(ends[-1].headers)[b"grpc-status"]


async def test_a_message_is_in_the_books_until_it_is_answered():
    """As far as it has come, and while its answer is waited for."""
    service = Slow()
    async with talking_to(service) as (listener, client):
        body = infer(3 * MIB)
        stream = call(client, INFER, body[: 2 * MIB])
        await until(lambda: listener.context.address_limits.buffered == 2 * MIB)
        say(client, stream, body[2 * MIB :])
        await until(lambda: service.calls)
        assert listener.context.address_limits.buffered == len(body)
        service.release.set()
        await until(lambda: not listener.context.address_limits.buffered)
        assert not client.ended(stream)


async def test_messages_that_never_end_are_bounded_together():
    """Flow control paces them; one is refused when both are more than their address may have, and makes room."""
    half = {"max_buffered_percent_per_address": 50, "max_buffered_percent_of_strangers": 50}
    half["max_buffered_percent_per_tenant"] = 50
    async with talking_to(EchoService(), max_buffered_mib=8, **half) as (listener, client):
        streams = [call(client, INFER, infer(8 * MIB)[: 3 * MIB]) for _ in range(2)]
        await until(lambda: any(map(client.ended, streams)))
        assert listener.context.address_limits.buffered <= 4 * MIB
        await until(lambda: listener.context.address_limits.buffered == 3 * MIB)
        (cut,) = [stream for stream in streams if client.ended(stream)]
        assert client.code(cut) == CALM


async def test_a_message_that_comes_too_slowly_is_cut():
    """A stream that waits for the next message, or for an answer, may take its time."""
    service = Slow()
    async with talking_to(service, body_timeout_s=0.2) as (listener, client):
        idle, open_call = call(client, INFER), call(client, INFER, infer())
        await until(lambda: service.calls)
        slow = call(client, INFER, infer()[:-1])
        await until(lambda: client.ended(slow))
        assert client.code(slow) == CALM
        assert not client.ended(idle) and not client.ended(open_call)
        service.release.set()
        await until(lambda: client.body(open_call) and not listener.context.address_limits.buffered)


async def test_streams_do_not_hold_up_a_drain():
    """Whoever watches hears of it; all end with a status that sends them elsewhere, and nothing is cut."""
    async with talking_to(EchoService()) as (listener, client):
        watching = [call(client, WATCH, bytes(5), end=end) for end in (True, False)]
        talking = [call(client, INFER), call(client, INFER, infer()), call(client, REFLECTION)]
        await until(lambda: all(client.body(stream) for stream in (*watching, talking[1])))
        async with asyncio.timeout(30):
            await listener.aclose(30)
        await until(lambda: client.is_over)
        assert {status(client, stream) for stream in (*watching, *talking)} == {b"14"}
        assert {client.code(stream) for stream in (*watching, *talking)} == {0}
        assert [client.body(stream) for stream in watching] == [SERVING + NOT_SERVING] * 2


async def test_a_drain_answers_what_has_begun():
    """Even a message of which only the beginning has come; what begins after it is not waited for."""
    service = Slow()
    async with talking_to(service) as (listener, client):
        open_call = call(client, INFER, infer() + infer()[:10])
        begun = call(client, INFER, infer()[:10])
        await until(lambda: service.calls and listener.context.address_limits.buffered == len(infer()) + 20)
        closing = asyncio.create_task(listener.aclose(30))
        await until(lambda: len(client.goaways) == 1)
        for stream in (open_call, begun):
            say(client, stream, infer()[10:] + infer()[:10])
        service.release.set()
        async with asyncio.timeout(30):
            await closing
        await until(lambda: client.is_over)
        assert [status(client, stream) for stream in (open_call, begun)] == [b"14", b"14"]
        assert service.calls == 3


async def test_a_stream_that_crosses_with_the_end_is_answered():
    async with talking_to(EchoService()) as (listener, client):
        await until(lambda: client.events)
        closing = asyncio.create_task(listener.aclose(30))
        crossed = call(client, INFER, infer())
        async with asyncio.timeout(30):
            await closing
        await until(lambda: client.is_over)
        assert (bool(client.body(crossed)), status(client, crossed)) == (True, b"14")
