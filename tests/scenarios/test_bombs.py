"""Little bytes that stand for many, sent to a listener with default limits.

DEFLATE makes at most 1,032 bytes of one: a stream of 2 KiB becomes 2 MiB at the most, and 64 MiB need 64 KiB.
In 2 KiB the 64 MiB are only had by compressing twice, which a sender may say (``gzip, gzip``: refused, no
coding is undone twice) or not say (then 64 KiB come out, which are no request). So all of these are sent.

What is small may become 256 KiB, whatever it is; beyond that the ratio counts, 100 times its own size. The bomb
of 64 KiB may so become 6.4 MiB before it is refused, and takes twice that while it grows. It is held to what an
honest body of its size may be.
"""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from functools import cache

import ngh2
import pytest

from tests.fakes.data_plane import EchoService
from tests.fakes.http import INFER, SMALL, post, say, serving
from tests.fakes.http2_peer import framed
from tests.fakes.http2_wire import Client, until

KIB, MIB = 1 << 10, 1 << 20
WINDOWS = {"gzip": 31, "deflate": 15}
CALL = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":authority", b"a"),
    (b":path", b"/inference.GRPCInferenceService/ModelInfer"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]
INVALID, UNIMPLEMENTED = 3, 12


@cache
def bomb(coding: str, size: int) -> bytes:
    """So many blanks, which JSON allows before anything, as small as can be."""
    stream = zlib.compressobj(9, zlib.DEFLATED, WINDOWS[coding])
    return b"".join(stream.compress(b" " * MIB) for _ in range(size // MIB)) + stream.flush()


def sent(coding: str, kind: str) -> tuple[bytes, str]:
    """The body and what is said of its coding."""
    if kind == "2 KiB":
        return bomb(coding, 2 * MIB), coding
    if kind == "64 MiB":
        return bomb(coding, 64 * MIB), coding
    twice = gzip.compress(bomb(coding, 64 * MIB), 9)
    return (twice, f"{coding}, gzip") if kind == "twice, said" else (twice, "gzip")


async def by_http(port: int, body: bytes, coding: str) -> int:
    return (await say(port, post(INFER, body, Content_Encoding=coding))).status


async def by_grpc(port: int, body: bytes, coding: str) -> int:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    client.begin()
    try:
        stream = client.http2.send_request([*CALL, (b"grpc-encoding", coding.encode())], end_stream=False)
        client.http2.send_data(stream, framed(body, flag=1), end_stream=True)
        client.flush()
        await until(lambda: client.ended(stream))
        answer = client.of(stream, ngh2.ResponseReceived)[0].headers
        trailers = [pair for each in client.of(stream, ngh2.TrailersReceived) for pair in each.headers]
        return int(dict([*answer, *trailers])[b"grpc-status"])
    finally:
        client.leave()


ASK = {"http": by_http, "grpc": by_grpc}


@pytest.mark.parametrize("protocol", ASK)
@pytest.mark.parametrize("coding", WINDOWS)
@pytest.mark.parametrize(
    ("kind", "largest", "statuses", "costs"),
    [
        ("2 KiB", 2 * KIB + 64, {413, INVALID}, MIB),
        ("twice, said", 2 * KIB, {501, UNIMPLEMENTED}, MIB),
        ("twice, not said", 2 * KIB, {400, INVALID}, MIB),
        ("64 MiB", 66 * KIB, {413, INVALID}, 16 * MIB),
    ],
)
async def test_a_bomb_is_refused_and_costs_little(protocol, coding, kind, largest, statuses, costs):
    """2 KiB never cost more than 1 MiB, whatever they stand for; 64 KiB not more than they are worth."""
    body, said = sent(coding, kind)
    service = EchoService()
    assert len(body) <= largest

    async with serving(service) as listener:
        assert await ASK[protocol](listener.port, gzip.compress(SMALL), "gzip") in {200, INVALID}
        tracemalloc.start()
        try:
            status = await ASK[protocol](listener.port, body, said)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert status in statuses
    assert peak < costs
    assert len(service.requests) == (protocol == "http")
