"""Bodies: bounded in bytes and in time, whatever the headers claim."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from typing import ClassVar

import pytest

from gateway.core.telemetry import Refused
from gateway.listeners.http_body import read_body
from gateway.listeners.settings import HttpSettings
from tests.fakes.front import EchoService
from tests.fakes.http import INFER, SMALL, post, read_answer, say, serving
from tests.fakes.telemetry import RecordingTelemetry

HURRIED = HttpSettings(body_timeout_s=0.05, lingering_s=0.05)


def chunked(*chunks: bytes, ends: bool = True) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % INFER.encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n" * ends


async def test_a_body_in_pieces():
    """However a body is cut on its way, it is one body."""
    sent = post(INFER, SMALL)
    async with serving(EchoService()) as listener:
        said = await say(listener.port, sent[:20], sent[20:100], sent[100:-5], sent[-5:])

    assert said.status == 200


async def test_a_chunked_body():
    """A body without a declared length is read to its end."""
    async with serving(EchoService()) as listener:
        said = await say(listener.port, chunked(SMALL[:10], SMALL[10:]))

    assert said.status == 200


async def test_a_large_body():
    """A body of many reads arrives whole."""
    values = b",".join([b"1"] * 400_000)
    body = b'{"inputs":[{"name":"x","datatype":"UINT8","shape":[400000],"data":[%b]}]}' % values
    service = EchoService()
    async with serving(service) as listener:
        said = await say(listener.port, post(INFER, body))

    assert said.status == 200
    assert bytes(service.last.inputs[0].data) == b"\1" * 400_000


@pytest.mark.parametrize(
    "sent",
    [
        post(INFER, b"x" * 2000),
        post(INFER, b"", Content_Length=str(1 << 50)),
        chunked(b"x" * 600, b"x" * 600, ends=False),
    ],
    ids=["sent at once", "declared", "chunked"],
)
async def test_too_large(sent):
    """413 comes as soon as it is known, and the connection ends."""
    service = EchoService()
    async with serving(service, HURRIED, max_body_bytes=1000) as listener:
        said = await say(listener.port, sent)

    assert said.status == 413
    assert said.error == "the request's body is larger than 1000 bytes"
    assert service.requests == []


async def test_too_large_in_two_packets():
    """The rest of a refused body is not read as a request: the connection ends."""
    async with serving(EchoService(), HURRIED, max_body_bytes=1000) as listener:
        said = await say(listener.port, post(INFER, b"x" * 2000)[:200])

    assert (said.status, said.headers["connection"]) == (413, "close")


async def test_a_lying_content_length_costs_nothing():
    """Memory is taken for what was sent, not for what was promised."""
    async with serving(EchoService(), HURRIED) as listener:
        tracemalloc.start()
        said = await say(listener.port, post(INFER, b"x" * 10, Content_Length=str(60 << 20)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert said.status == 408
    assert peak < 4 << 20


async def test_a_slow_body():
    """A client that drips gets 408, and its connection back."""
    async with serving(EchoService(), HURRIED) as listener:
        said = await say(listener.port, post(INFER, SMALL)[:-5])

    assert said.status == 408
    assert said.error == "the request's body did not arrive within 0.05 seconds"
    assert said.headers["connection"] == "close"


async def test_broken_chunks():
    """Framing that is broken half-way is refused as JSON, without an echo."""
    async with serving(EchoService(), HURRIED) as listener:
        said = await say(listener.port, chunked(b"abc", ends=False), b"XYZ\r\n")

    assert said.status == 400
    assert "XYZ" not in said.error


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "zstd"])
async def test_compressed_bodies_are_not_supported(encoding):
    """501 says which encodings would do, and nothing is decompressed on the way."""
    telemetry = RecordingTelemetry()
    bomb = gzip.compress(bytes(8 << 20))
    service = EchoService()
    async with serving(service, HURRIED, telemetry=telemetry) as listener:
        tracemalloc.start()
        said = await say(listener.port, post(INFER, bomb, Content_Encoding=encoding))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert (said.status, said.headers["accept-encoding"]) == (501, "identity")
    assert "compressed" in said.error
    assert peak < 4 << 20
    assert service.requests == []
    assert telemetry.of(Refused) == [Refused("http", "501")]


async def test_identity_is_no_encoding():
    """A client may say that it did not compress."""
    async with serving(EchoService()) as listener:
        said = await say(listener.port, post(INFER, SMALL, Content_Encoding="Identity"))

    assert said.status == 200


async def test_expect_continue():
    """A client that waits for leave gets it, and then its answer, on one connection."""
    async with serving(EchoService()) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        head, body = post(INFER, SMALL, Expect="100-continue").split(b"\r\n\r\n", 1)
        writer.write(head + b"\r\n\r\n")

        interim = await reader.readuntil(b"\r\n\r\n")
        writer.write(body)
        said = await read_answer(reader)

        writer.close()
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert said.status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Expect": "miracles"}, 417), ({"Expect": "100-continue", "Content_Length": "9" * 9}, 413)],
)
async def test_expectations_that_are_not_met(headers, status):
    """No leave is given for a body that would be refused."""
    async with serving(EchoService(), HURRIED, max_body_bytes=1000) as listener:
        head = post(INFER, SMALL, **headers).split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(head)

        first = await reader.readuntil(b"\r\n")

        writer.close()
    assert first.startswith(b"HTTP/1.1 %d " % status)


async def test_a_timeout_of_the_connection_is_not_ours():
    """TCP's own timeout while a body is read is a lost connection, not a slow client."""

    class Request:
        headers: ClassVar[dict[str, str]] = {}
        content_length = None

        class content:  # noqa: N801 - an attribute of aiohttp's request
            @staticmethod
            def is_eof():
                return False

            @staticmethod
            async def readany():
                raise TimeoutError

    with pytest.raises(TimeoutError):
        await read_body(Request, 10, 10.0)
