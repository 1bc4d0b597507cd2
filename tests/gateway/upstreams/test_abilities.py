"""An endpoint's abilities are read from its metadata, and respected."""

from __future__ import annotations

import asyncio
import json
import math
import struct
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.core.clock import LoopClock
from gateway.core.errors import Fault
from gateway.core.tensor import Tensor
from gateway.upstreams.abilities import Abilities
from gateway.upstreams.settings import HttpUpstreamSettings
from tests.fakes.redis_server import free_port
from tests.fakes.service import request
from tests.fakes.stack import stack
from tests.fakes.upstreams import fails, http, http_upstream, scripted_peer

ANSWER = b'{"model_name":"m","outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1.0,2.0]}]}'


class Server:
    """A server whose metadata are ``metadata``, None for a reset; keeps what it was asked."""

    def __init__(self, metadata: bytes | None) -> None:
        self.metadata = metadata
        self.metadata_reads = 0
        self.bodies: list[tuple[str, bytes]] = []

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await self.head(reader):
            if head.startswith("get"):
                self.metadata_reads += 1
                if self.metadata is None:
                    writer.transport.abort()
                    return
                writer.write(self.metadata)
                continue
            length = int(head.partition("\r\ncontent-length: ")[2].split("\r\n")[0])
            self.bodies.append((head, await reader.readexactly(length)))
            writer.write(http(200, ANSWER, close=False))

    async def head(self, reader: asyncio.StreamReader) -> str:
        try:
            return (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        except asyncio.IncompleteReadError:
            return ""


def metadata(*extensions: str) -> bytes:
    body = json.dumps({"name": "s", "version": "1", "extensions": extensions}).encode()
    return http(200, body, close=False)


class FastClock(LoopClock):
    """A clock that a test puts forward."""

    forward_s = 0.0

    def now(self) -> float:
        return super().now() + self.forward_s


@asynccontextmanager
async def connected(server: Server, **options: Any):
    async with scripted_peer(server.play) as peer, http_upstream(peer.port, **options) as upstream:
        yield upstream, stack(Abilities(upstream), service=upstream)


async def test_an_endpoint_without_binary_data_gets_json() -> None:
    """Its metadata are read once; the tensors come as numbers, and no output is wanted binary."""
    server = Server(metadata("parameters"))
    sent = request(outputs=("y",), id="7", parameters={"priority": 1})

    async with connected(server) as (upstream, service):
        answers = [await service(sent) for _ in range(3)]
        assert repr(Abilities(upstream)) == "<Abilities known>"

    assert [answer.outputs[0].numpy().tolist() for answer in answers] == [[1.0, 2.0]] * 3
    assert server.metadata_reads == 1
    head, body = server.bodies[0]
    assert "content-type: application/json" in head
    assert "inference-header-content-length" not in head
    assert json.loads(body) == {
        "id": "7",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 4], "data": [1.0] * 4}],
        "outputs": [{"name": "y"}],
        "parameters": {"priority": 1},
    }


@pytest.mark.parametrize(
    "answer",
    [
        metadata("binary_tensor_data"),
        http(404, close=False),
        http(200, b'{"name":"s"}', close=False),
        http(200, b"<html>", close=False),
    ],
    ids=["binary", "no metadata", "no extensions", "no JSON"],
)
async def test_one_that_has_it_or_names_no_extensions_gets_binary(answer: bytes) -> None:
    """As it always was."""
    server = Server(answer)
    async with connected(server) as (_, service):
        await service(request())

    head, _ = server.bodies[0]
    assert "inference-header-content-length" in head


async def test_many_first_requests_share_one_question() -> None:
    """They wait for it, and none is sent in a form that the endpoint does not know."""
    server = Server(metadata())
    async with connected(server) as (_, service):
        await asyncio.gather(*(service(request()) for _ in range(20)))

    assert server.metadata_reads == 1
    assert all(body.startswith(b"{") and body.endswith(b"}") for _, body in server.bodies)


async def test_what_json_cannot_carry_is_the_clients_to_change() -> None:
    """FP16 for an endpoint that takes JSON only."""
    server = Server(metadata())
    sent = request(inputs=(Tensor("x", "FP16", (1,), b"\0\0"),))
    async with connected(server) as (_, service):
        error = await fails(service(sent))

    assert (error.fault, error.counts) == (Fault.INVALID, False)
    assert error.message == (
        "the endpoint of this model takes JSON only, which cannot carry input 'x' of FP16"
    )


async def test_nan_is_sent_as_json_where_the_settings_say_so() -> None:
    """Most servers that take JSON only would fail with it: by default it is the client's to change."""
    server = Server(metadata())
    sent = request(inputs=(Tensor("x", "FP32", (1,), struct.pack("<f", math.nan)),))
    async with connected(server) as (_, service):
        error = await fails(service(sent))
    async with connected(server, settings=HttpUpstreamSettings(json_nan="literal")) as (_, service):
        await service(sent)

    assert (error.fault, error.counts) == (Fault.INVALID, False)
    assert [b'"data":[NaN]' in body for _, body in server.bodies] == [True]


async def test_metadata_that_cannot_be_read_are_read_later() -> None:
    """Nobody is there yet; whoever answers first may be one who takes JSON only."""
    port, server = free_port(), Server(metadata())
    async with http_upstream(port) as upstream:
        service = stack(Abilities(upstream), service=upstream)
        assert (await fails(service(request()))).fault is Fault.UNAVAILABLE
        assert repr(Abilities(upstream)) == "<Abilities not known>"
        upstream.hurry()
        async with scripted_peer(server.play, port):
            await service(request())

    assert server.metadata_reads == 1


async def test_after_an_outage_another_server_may_be_there() -> None:
    """What was learned of the one before is forgotten."""
    server = Server(metadata("binary_tensor_data"))
    async with connected(server) as (upstream, service):
        await service(request())
        server.metadata = metadata()
        upstream.renew()
        await service(request())

    assert server.metadata_reads == 2
    assert ["inference-header-content-length" in head for head, _ in server.bodies] == [True, False]


@pytest.mark.parametrize(
    "later",
    [http(503, b"{}", close=False), http(500, close=False), http(404, close=False), b"", None],
    ids=repr,
)
async def test_metadata_hold_until_others_are_read(later: bytes | None) -> None:
    """Metadata that are slow, reset or refused once do not turn it into a server that takes binary data."""
    server, clock = Server(metadata("parameters")), FastClock()
    # An empty answer is one that never comes.
    settings = HttpUpstreamSettings(metadata_timeout_s=5.0 if later != b"" else 0.2)
    async with connected(server, clock=clock, settings=settings) as (upstream, service):
        await service(request())
        server.metadata = later
        clock.forward_s = 61.0

        await upstream.refresh()
        reads = server.metadata_reads
        await upstream.refresh()
        await service(request())

    assert ["application/json" in head for head, _ in server.bodies] == [True, True]
    assert server.metadata_reads == reads == 2, "and they are not read again with every request"
