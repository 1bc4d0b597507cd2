"""Rapid resets and heads without an end, while a good client of the same listener goes on asking."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

import pytest

from gateway.http.exchange import Answer
from tests.fakes.application import connection
from tests.fakes.http2_frames import (
    BEGIN,
    CONTINUATION,
    GOAWAY,
    HEADERS,
    POST,
    block,
    frame,
    frames,
    headers,
    reset,
)
from tests.fakes.http2_wire import JSON, wired

ROUNDS = 3
ATTACKERS = 4


async def call(_head: Any, body: Any) -> Answer:
    await asyncio.sleep(0.001)
    return Answer(200, JSON, (bytes(body),), trailers=((b"grpc-status", b"0"),))


def resets() -> Any:
    """CVE-2023-44487: ask and take it back, as fast as can be."""
    for stream in count(1, 20):
        yield b"".join(headers(number) + reset(number) for number in range(stream, stream + 20, 2))


def continuations() -> Any:
    """CVE-2024-27316: a head that never ends."""
    yield frame(HEADERS, 0, 1, block(POST))
    while True:
        yield frame(CONTINUATION, 0, 1, block([(b"x", b"y" * 50)]))


async def attack(port: int, pieces: Any) -> bytes:
    """Send until the other side ends it; return what it said."""
    async with connection(port) as (reader, writer):
        received = bytearray()

        async def listen() -> None:
            while piece := await reader.read(1 << 16):
                received.extend(piece)

        listening = asyncio.create_task(listen())
        try:
            writer.write(BEGIN)
            for piece in pieces():
                if listening.done():
                    break
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        finally:
            await asyncio.gather(listening, return_exceptions=True)
            writer.transport.abort()
        return bytes(received)


@pytest.mark.parametrize("pieces", [resets, continuations])
async def test_attackers_are_cut_and_the_good_client_is_answered(pieces: Any):
    async with wired(call, max_resets_per_s=5) as it, it.client() as client:
        sent = 0
        is_over = False

        async def go_on() -> int:
            nonlocal sent
            while not is_over:
                assert await client.whole(b"%d" % sent) == (200, b"%d" % sent)
                sent += 1
            return sent

        good = asyncio.create_task(go_on())
        received = []
        async with asyncio.timeout(30):
            for _ in range(ROUNDS):
                before = sent
                received += await asyncio.gather(
                    *(attack(it.listener.port, pieces) for _ in range(ATTACKERS))
                )
                while sent == before:
                    await asyncio.sleep(0)
        is_over = True

        assert await good >= ROUNDS
        assert not client.goaways
        assert len(it.context.registry) == 1
        # A reset of the connection may overtake the word.
        assert any(one.kind == GOAWAY and one.code for each in received for one in frames(each))
