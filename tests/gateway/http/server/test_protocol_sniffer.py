"""Connections before anybody knows what they speak."""

from __future__ import annotations

import asyncio

import pytest

from gateway.http.framing.http2_server import PREFACE
from gateway.http.server.settings import TransportSettings
from tests.fakes.application import FakeApplication, connection, is_at_rest, listening, until
from tests.fakes.http import get, read_answer
from tests.fakes.loops import both_loops


@both_loops
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
async def test_first_bytes_tell(size):
    """HTTP/2 by its preface and HTTP/1.1 by anything else, in pieces of any size."""
    async with listening(FakeApplication()) as listener:
        for sent, noted in ((PREFACE, b"\0\0"), (get("/now"), b"HTTP/1.1 200")):
            async with connection(listener.port) as (reader, writer):
                for at in range(0, len(sent), size):
                    writer.write(sent[at : at + size])
                    await asyncio.sleep(0.002)
                assert await reader.readexactly(len(noted)) == noted


@both_loops
async def test_what_begins_like_a_preface_and_is_none():
    """PROPFIND is a request; PRI for another version is none."""
    async with listening(FakeApplication()) as listener:
        for sent, status in ((get("/now", "PROPFIND"), 200), (b"PRX\r\n\r\n", 400)):
            async with connection(listener.port) as (reader, writer):
                for at in range(len(sent)):
                    writer.write(sent[at : at + 1])
                    await asyncio.sleep(0.001)
                assert (await read_answer(reader)).status == status


@both_loops
async def test_limits_of_connections():
    """One too many is closed at once, without a word; when another leaves there is room again."""
    for settings in (TransportSettings(max_connections=2), TransportSettings(max_connections_per_address=2)):
        async with listening(FakeApplication(), settings) as listener:
            async with connection(listener.port) as (reader, writer), connection(listener.port) as (_, other):
                for each in (writer, other):
                    each.write(get("/now"))
                assert (await read_answer(reader)).status == 200
                await until(lambda listener=listener: len(listener.context.registry) == 2)
                third, refused = await asyncio.open_connection("127.0.0.1", listener.port)
                try:
                    assert await asyncio.wait_for(third.read(), 5) == b""
                except ConnectionResetError:
                    pass
                refused.close()
            await until(lambda listener=listener: is_at_rest(listener))
            async with connection(listener.port) as (reader, writer):
                writer.write(get("/now"))
                assert (await read_answer(reader)).status == 200


@both_loops
async def test_a_drain_waits_for_a_first_request():
    """It may be on its way, and is answered with word of the end."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        await until(lambda: len(listener.context.registry) == 1)
        (sniffer,) = listener.context.registry.all
        assert repr(sniffer) == "<ProtocolSniffer 127.0.0.1, 0 bytes early>"
        closing = asyncio.create_task(listener.aclose(5))
        await asyncio.sleep(0.05)
        writer.write(get("/now"))

        assert (await read_answer(reader)).headers["connection"] == "close"
        await closing


@both_loops
@pytest.mark.parametrize("received", [b"", b"P", PREFACE[:10], b"GET / HTTP/1.1\r\nHost:"])
async def test_a_drain_does_not_wait_long_for_those_that_say_nothing(received):
    """Nor for those that stop in the middle of their first request; others lose nothing by it."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(received)
        await until(lambda: len(listener.context.registry) == 1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await listener.aclose(30)

        assert loop.time() - began < 20
        assert (await reader.read())[:12] in (b"", b"HTTP/1.1 408") or received.startswith(PREFACE[:4])
