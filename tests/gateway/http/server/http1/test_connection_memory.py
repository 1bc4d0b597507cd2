"""HTTP/1.1 clients that want memory without paying for it: slow bodies, unread answers, unfinished heads."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway.http.exchange import Answer, BodyPolicy, Head
from gateway.http.server.ended_peers import Ending
from gateway.http.server.http1.connection import Http1ServerConnection
from gateway.http.server.settings import TransportSettings
from tests.fakes.application import (
    FakeApplication,
    is_at_rest,
    listening,
    until,
)
from tests.fakes.http import get, post, read_answer
from tests.fakes.virtual_connection import connected
from tests.fakes.virtual_time import virtual_time

KIB, MIB = 1 << 10, 1 << 20
RATE = {"body_timeout_s": 2.0, "min_body_bytes_per_s": 1000, "request_timeout_s": 20.0}


class HeldApplication(FakeApplication):
    """Books each body in the name that is its ``holder`` header."""

    def open(self, head: Head) -> BodyPolicy | Answer:
        opened = super().open(head)
        return BodyPolicy(MIB, holder=head.get("holder")) if isinstance(opened, BodyPolicy) else opened


def _head(size: int | None) -> bytes:
    if size is None:
        return get("/now", "POST", Transfer_Encoding="chunked")
    return get("/now", "POST", Content_Length=str(size))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("sends", ["nothing more", "a byte a second", "bytes of framing"])
@pytest.mark.parametrize("size", [50_000, 900_000, None], ids=["small", "large", "chunked"])
@virtual_time
async def test_all_but_the_end_at_once(size: int | None, sends: str):
    """What came before a window is no credit in it: 408 after the window, and nothing is booked any more."""
    async with connected(Http1ServerConnection, **RATE) as peer:
        body = bytes(49_999 if size is None else size - 9)
        peer.send(_head(size) + (body if size is not None else _chunk(body)))
        for second in range(40):
            await asyncio.sleep(0.1)
            if peer.statuses:
                break
            if sends == "a byte a second" and second % 10 == 9:
                peer.send(b"x" if size is not None else _chunk(b"x"))
            elif sends == "bytes of framing" and size is None:
                # Zeros before the size of a chunk: HTTP lets there be as many as one likes.
                peer.send(b"0")

        assert peer.statuses == [408]


@virtual_time
async def test_fast_enough_and_too_long():
    """The deadline ends what no rate does."""
    async with connected(Http1ServerConnection, **RATE) as peer:
        peer.send(_head(900_000))
        for _ in range(19):
            await asyncio.sleep(1)
            peer.send(bytes(2000))
        assert peer.statuses == []
        for _ in range(3):
            await asyncio.sleep(1)
            peer.send(bytes(2000))

        assert peer.statuses == [408]


@virtual_time
async def test_a_body_that_waits_for_an_invitation_is_not_late():
    """100 Continue comes when the answers before it are out: till then the client does right to wait."""
    application = FakeApplication()
    async with connected(Http1ServerConnection, application, **RATE) as peer:
        peer.send(post("/later", b"x") + get("/now", "POST", Content_Length="3", Expect="100-continue"))
        await asyncio.sleep(15)
        application.release()
        await asyncio.sleep(1)
        peer.send(b"abc")
        await asyncio.sleep(1)

        assert peer.statuses == [200, 100, 200]


async def test_large_bodies_on_their_way_yield_to_who_has_less():
    """Two tenants have all of the room; a third is served, and the body that stands still longest is 408."""
    settings = TransportSettings(
        max_buffered_mib=1, max_buffered_percent_per_address=100, max_buffered_percent_per_tenant=50
    )
    async with listening(HeldApplication(), settings) as listener:
        limits = listener.context.address_limits
        holders = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(4)]
        for number, (_, writer) in enumerate(holders):
            writer.write(get("/now", "POST", Content_Length="262144", Holder="ab"[number % 2]))
            writer.write(bytes(240 * KIB))
            await until(lambda number=number: limits.buffered == (number + 1) * 240 * KIB)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", listener.port, local_addr=("127.0.0.9", 0)
        )
        writer.write(get("/now", "POST", Content_Length="100000", Holder="victim") + bytes(100_000))
        assert (await read_answer(reader)).status == 200
        writer.close()
        given_up = await read_answer(holders[0][0])
        assert given_up.status == 408
        assert b"others need the memory" in given_up.body
        assert listener.context.ended.totals[Ending.GIVEN_UP] == 1
        for reader, writer in holders[1:]:
            writer.write(bytes(16 * KIB))
            assert (await read_answer(reader)).status == 200
        for _, writer in holders:
            writer.close()
        await until(lambda: is_at_rest(listener))


@pytest.mark.parametrize(("holder", "status"), [("a", 503), ("b", 200)], ids=["the same", "another"])
async def test_a_tenant_of_many_addresses_has_one_share(holder: str, status: int):
    """What two addresses of it hold leaves no room for a third; another tenant has its own."""
    settings = TransportSettings(
        max_buffered_mib=4, max_buffered_percent_per_address=100, max_buffered_percent_per_tenant=25
    )
    async with listening(HeldApplication(), settings) as listener:
        limits = listener.context.address_limits
        clients = [
            await asyncio.open_connection("127.0.0.1", listener.port, local_addr=(f"127.0.0.{number}", 0))
            for number in (2, 3, 4)
        ]
        for number in range(2):
            # Below what is given up for others: there is no way but to refuse the third.
            for more in range(4):
                _, held = await asyncio.open_connection(
                    "127.0.0.1", listener.port, local_addr=(f"127.0.0.{number + 2}", 0)
                )
                held.write(get("/now", "POST", Content_Length="130000", Holder="a") + bytes(120_000))
                clients.append((_, held))
                await until(lambda count=number * 4 + more + 1: limits.buffered == count * 120_000)
        clients[2][1].write(get("/now", "POST", Content_Length="130000", Holder=holder) + bytes(130_000))
        assert (await read_answer(clients[2][0])).status == status
        for _, writer in clients:
            writer.close()
        await until(lambda: is_at_rest(listener))


async def test_answers_that_are_not_read_are_booked():
    """Beyond the share of their address the next request is refused, or its connection ends."""
    settings = TransportSettings(max_buffered_mib=16, max_buffered_percent_of_strangers=100)
    async with listening(FakeApplication(), settings) as listener:
        limits = listener.context.address_limits
        writers = []
        for _ in range(6):
            # A client that never reads: the kernel takes some of each answer, and the rest is here.
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", listener.port))
            _, writer = await asyncio.open_connection(sock=client, limit=1)
            writer.transport.pause_reading()
            writer.write(get(f"/large?{12 * MIB}"))
            writers.append(writer)
        await until(lambda: listener.context.ended.totals.total() == 5)
        assert 0 < limits.overhead <= 12 * MIB
        for writer in writers:
            writer.transport.abort()
        await until(lambda: is_at_rest(listener))


@virtual_time
async def test_heads_that_do_not_end_are_booked():
    """As far as they have come."""
    limits: dict[str, Any] = {"max_request_headers_kb": 60}
    async with connected(Http1ServerConnection, **limits) as peer:
        peer.send(b"GET /now HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 50_000)
        await asyncio.sleep(1)
        assert peer.booked > 50_000
        peer.send(b"\r\n\r\n")
        await asyncio.sleep(1)
        assert (peer.statuses, peer.booked) == ([200], 0)
