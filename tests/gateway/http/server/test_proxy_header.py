"""Connections that begin with a PROXY header, over real sockets and both event loops."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop

from gateway.http.server import listener as module
from gateway.http.server.settings import TransportSettings
from gateway.http.server.tls import Tls, TlsSettings
from tests.fakes.application import connection
from tests.fakes.certificates import Authority
from tests.fakes.data_plane import EchoService, fake_data_plane
from tests.fakes.listener import listener_of

BODY = b'{"inputs":[{"name":"image","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]}'
INFER = b"POST /v2/models/digits/infer HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
V1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 4000 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f" + bytes((203, 0, 113, 9, 10, 0, 0, 1, 1, 1, 1, 1, 4, 0, 0))
MAPPED = b"PROXY TCP6 ::ffff:203.0.113.9 ::1 4000 443\r\n"
LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine in an event loop of its own."""
    return request.param


async def client_of(pieces: list[bytes], **options: Any) -> str | None:
    """The address that the service is told of a connection that begins with ``pieces``; None: it was closed."""
    tls: ssl.SSLContext | None = options.pop("trusting", None)
    service = EchoService()
    listener = listener_of(
        fake_data_plane(service), options.pop("settings", None), proxy_protocol=True, **options
    )
    await listener.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.005)
        if tls is not None:
            await writer.start_tls(tls, server_hostname="localhost")
            writer.write(INFER)
        answer = await reader.read(1 << 16)
        if not answer:
            return None
        assert answer.startswith(b"HTTP/1.1 200"), answer
        return service.last.caller.address
    except ConnectionError:
        return None
    finally:
        writer.transport.abort()
        await listener.aclose()


@pytest.mark.parametrize(
    ("header", "client"),
    [(V1, "203.0.113.9"), (V2, "203.0.113.9"), (MAPPED, "203.0.113.9"), (LOCAL, "")],
    ids=["version 1", "version 2", "mapped", "local"],
)
@pytest.mark.parametrize("size", [1000, 7, 1], ids=["whole", "pieces", "bytes"])
def test_client_is_the_one_told(run: Run, header: bytes, client: str, size: int) -> None:
    """However the header comes, alone or with the request; without an address nobody is known."""
    whole = header if size < 1000 else header + INFER
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]

    assert run(client_of(pieces if size == 1000 else [*pieces, INFER])) == client


@pytest.mark.parametrize(
    "beginning", [INFER, b"PROXY TCP4 nobody\r\n" + INFER, V2[:12] + b"\x31\x11\0\0" + INFER]
)
def test_connection_without_a_header_is_closed(run: Run, beginning: bytes) -> None:
    """Nothing is answered: what came is not for us."""
    assert run(client_of([beginning])) is None


def test_header_that_does_not_come(run: Run) -> None:
    """It has as long as a first request; half of one is none."""
    settings = TransportSettings(request_headers_timeout_s=0.1)

    assert run(client_of([V1[:-1]], settings=settings)) is None


def test_client_that_leaves_in_the_middle(run: Run) -> None:
    """Its connection is forgotten, and the next is served."""

    async def play() -> int:
        listener = listener_of(fake_data_plane(EchoService()), proxy_protocol=True)
        await listener.start("127.0.0.1", 0)
        async with connection(listener.port) as (_, writer):
            writer.write(V1[:5])
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.02)
            count = len(listener.context.registry)
            await listener.aclose()
            return count

    assert run(play()) == 0


def test_connections_count_for_the_address_that_is_told(run: Run) -> None:
    """All come from one balancer: the limit is each client's."""
    settings = TransportSettings(max_connections_per_address=1)

    async def play() -> list[bool]:
        listener = listener_of(fake_data_plane(EchoService()), settings, proxy_protocol=True)
        await listener.start("127.0.0.1", 0)
        served = []
        async with AsyncExitStack() as connections:
            for header in (V1, V1, V1.replace(b".9 ", b".8 "), LOCAL, V2):
                reader, writer = await connections.enter_async_context(connection(listener.port))
                writer.write(header + INFER)
                try:
                    served.append((await reader.read(12)) == b"HTTP/1.1 200")
                except ConnectionError:
                    served.append(False)
        await listener.aclose()
        return served

    assert run(play()) == [True, False, True, True, False]


def test_before_tls(run: Run, tmp_path) -> None:
    """The header stands in the clear, before the handshake."""
    ca = Authority(tmp_path)
    server = ca.issue("localhost")
    trusting = ssl.create_default_context(cafile=str(ca.root))

    def tls() -> Tls:
        return Tls(TlsSettings(certificate=str(server.certificate), key=str(server.key)))

    assert run(client_of([V2], trusting=trusting, tls=tls())) == "203.0.113.9"
    assert run(client_of([], trusting=trusting, tls=tls())) is None


def test_whoever_waits_for_a_header_is_let_go_at_the_end(run: Run, monkeypatch) -> None:
    """Closing cancels the wait and closes the connection."""
    monkeypatch.setattr(module, "OPENING_S", 0.05)

    async def play() -> bytes:
        listener = listener_of(fake_data_plane(EchoService()), proxy_protocol=True)
        await listener.start("127.0.0.1", 0)
        async with connection(listener.port) as (reader, writer):
            await asyncio.sleep(0.02)
            await listener.aclose()
            rest = await reader.read()
            writer.close()
            return rest

    assert run(play()) == b""
