"""The HTTP listener as a server: malformed bytes, clients that leave, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from gateway.core.errors import Fault, GatewayError
from gateway.http.server.settings import TransportSettings
from tests.fakes.application import connection
from tests.fakes.data_plane import EchoService, FakeGeneration, fake_data_plane
from tests.fakes.http import INFER, SMALL, get, post, read_answer, say, serving
from tests.fakes.listener import listener_of
from tests.fakes.service import HANG, ScriptedService

HOST = b"Host: x\r\n"


async def until(condition):
    """Wait for what another task is about to do."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret\r\n\r\n",
        b"secret garbage\r\n\r\n",
        b"GET /v2 HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n" + HOST * 2 + b"\r\n",
        b"GET /v2 HTTP/1.1\r\n" + HOST + b"X : secret\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n" + HOST + b"X: a\x00secret\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n" + HOST + b"X: " + b"secret" * 12000 + b"\r\n\r\n",
        b"GET /" + b"secret" * 12000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v2 HTTP/1.1\r\n" + HOST + b"secret: 1\r\n" * 200 + b"\r\n",
        b"POST /v2 HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\nabcde",
        b"POST /v2 HTTP/1.1\r\n" + HOST + b"Content-Length: -5\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /v2 HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v2 HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ],
    ids=[
        "TLS hello",
        "garbage",
        "version",
        "no host",
        "two hosts",
        "space before colon",
        "NUL",
        "long header",
        "long target",
        "many headers",
        "plus",
        "minus",
        "two lengths",
        "length and chunks",
        "unknown coding",
    ],
)
async def test_malformed_requests(sent):
    """Bytes that are no HTTP get one JSON answer that neither repeats them nor names versions."""
    service = EchoService()
    async with serving(service) as listener:
        answer = await say(listener.port, sent)
        assert (await say(listener.port, get("/v2"))).status == 200

    assert answer.status in {400, 431}
    assert "secret" not in answer.error
    assert answer.headers["server"] == "edgeway"
    assert answer.headers["connection"] == "close"
    assert service.requests == []


async def test_failures_outside_of_the_handler(caplog):
    """Even where no policy could be found any more, the answer is JSON and the traceback is for the log."""
    generations = [FakeGeneration(EchoService())]

    def broken():
        if not generations:
            raise ZeroDivisionError("secret")
        return generations.pop()

    with caplog.at_level(logging.ERROR):
        async with serving(EchoService(), generation=broken) as listener:
            answer = await say(listener.port, get("/v2"))

    assert (answer.status, answer.error) == (500, "internal error")
    assert "secret" in caplog.text


@pytest.mark.parametrize("cut", [1, 30, 90, 140])
async def test_truncated_requests(cut):
    """A client that closes half-way gets nothing, and leaves nothing behind."""
    service = EchoService()
    async with serving(service) as listener:
        async with connection(listener.port) as (_, writer):
            writer.write(post(INFER, SMALL)[:cut])
            await writer.drain()
            writer.close()
            await writer.wait_closed()

            await until(lambda: listener.context.running == 0)
            assert (await say(listener.port, get("/v2"))).status == 200

    assert service.requests == []


async def test_pipelined_requests():
    """Requests sent ahead are answered in their order, on one connection."""
    bodies = [SMALL.replace(b'"inputs"', b'"id":"%d","inputs"' % number) for number in range(50)]
    async with serving(EchoService()) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(b"".join(post(INFER, body) for body in bodies))

            answers = [await read_answer(reader) for _ in bodies]

            writer.close()
    assert [answer.json["id"] for answer in answers] == [str(number) for number in range(50)]


async def test_a_bad_request_does_not_end_a_good_connection():
    """What was read to its end can be followed by the next request."""
    async with serving(EchoService()) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(post(INFER, b"{") + get("/nowhere") + post(INFER, SMALL))

            answers = [await read_answer(reader) for _ in range(3)]

            writer.close()
    assert [answer.status for answer in answers] == [400, 404, 200]


async def test_a_bad_request_behind_a_good_one():
    """Garbage behind a request does not spoil its answer."""
    service = ScriptedService(HANG)
    async with serving(service) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(post(INFER, SMALL))
            await until(lambda: service.running)
            writer.write(b"garbage\r\n\r\n")
            await asyncio.sleep(0.01)
            service.release()

            answers = [await read_answer(reader) for _ in range(2)]

            assert await reader.read() == b""
            writer.close()
    assert [answer.status for answer in answers] == [200, 400]


async def test_a_client_that_leaves_cancels_its_request():
    """Nobody waits for the answer: the service is cancelled, and no other request is."""
    service = ScriptedService(HANG)
    async with serving(service) as listener:
        async with connection(listener.port) as (_, leaver):
            async with connection(listener.port) as (reader, stayer):
                for writer in (leaver, stayer):
                    writer.write(post(INFER, SMALL))
                await until(lambda: service.running == 2)

                leaver.close()
                await until(lambda: (service.running, listener.context.running) == (1, 1))
                service.release()

                assert (await read_answer(reader)).status == 200
                stayer.close()


async def test_idle_connections_end():
    """A connection that asks nothing, or only drips headers, is closed after its time."""
    settings = TransportSettings(idle_timeout_s=0.05, request_headers_timeout_s=0.05)
    late = b"HTTP/1.1 408 Request Timeout"
    async with serving(EchoService(), settings) as listener:
        for beginning, status in ((b"", b""), (b"GET /v2 HT", late), (get("/v2"), b"HTTP/1.1 200 OK")):
            async with connection(listener.port) as (reader, writer):
                writer.write(beginning)

                async with asyncio.timeout(30):
                    answer = await reader.read()

                assert answer.partition(b"\r\n")[0] == status
                assert reader.at_eof()
                writer.close()


async def test_repr_shows_the_state():
    """One line tells what the listener is doing."""
    listener = listener_of(fake_data_plane(EchoService()))
    assert repr(listener) == "<HttpListener on port 0, closed>"

    await listener.start("127.0.0.1", 0)
    assert repr(listener).startswith(
        f"<HttpListener on port {listener.port}, <ServerContext open, 0 connections, 0 running"
    )
    await listener.stop_accepting()
    assert "draining" in repr(listener)
    await listener.aclose()
    assert "closed" in repr(listener)
    await listener.aclose()


async def test_a_taken_port():
    """An address that cannot be listened on is an OSError at start."""
    async with serving(EchoService()) as listener:
        with pytest.raises(OSError, match="in use"):
            await listener_of(fake_data_plane(EchoService())).start("127.0.0.1", listener.port)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_ipv6():
    """A client's IPv6 address is one address."""
    service = EchoService()
    listener = listener_of(fake_data_plane(service))
    try:
        await listener.start("::1", 0)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    reader, writer = await asyncio.open_connection("::1", listener.port)
    writer.write(post(INFER, SMALL, X_Forwarded_For="2001:db8::9"))

    answer = await read_answer(reader)

    writer.close()
    await listener.aclose()
    assert answer.status == 200
    assert service.last.caller.address == "2001:db8::9"


async def test_drain_finishes_what_was_accepted():
    """New connections are refused, the open one gets its answer and then ends."""
    service = ScriptedService(HANG)
    async with serving(service) as listener:
        async with connection(listener.port) as (reader, writer):
            async with connection(listener.port) as (idle_reader, idle_writer):
                idle_writer.write(get("/v2"))
                await read_answer(idle_reader)
                writer.write(post(INFER, SMALL))
                await until(lambda: service.running)

                await listener.stop_accepting()
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", listener.port)
                idle_writer.write(get("/v2"))
                last = await read_answer(idle_reader)
                closing = asyncio.create_task(listener.aclose(5))
                await asyncio.sleep(0.02)
                assert not closing.done()
                service.release()
                answer = await read_answer(reader)
                await closing

                assert (await reader.read(), await idle_reader.read()) == (b"", b"")
                for each in (writer, idle_writer):
                    each.close()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert last.headers["connection"] == "close"


async def test_drain_finishes_a_body_on_its_way():
    """A request whose body is still coming in was accepted too."""
    async with serving(EchoService()) as listener:
        async with connection(listener.port) as (reader, writer):
            sent = post(INFER, SMALL)
            writer.write(sent[:-10])
            await until(lambda: listener.context.address_limits.buffered > 0)

            closing = asyncio.create_task(listener.aclose(5))
            await asyncio.sleep(0.01)
            writer.write(sent[-10:])
            answer = await read_answer(reader)
            await closing

            writer.close()
    assert answer.status == 200


async def test_drain_ends_in_time(caplog):
    """What takes longer than the grace is cancelled, and the log says how much was cut off."""
    service = ScriptedService(HANG)
    async with serving(service) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(post(INFER, SMALL))
            await until(lambda: service.running)

            with caplog.at_level(logging.WARNING):
                async with asyncio.timeout(30):
                    await listener.aclose(0.01)

            assert await reader.read() == b""
            writer.close()
    assert service.running == 0
    assert "1 requests are cut off" in caplog.text


async def test_many_connections_at_once():
    """Requests of many clients run side by side, each to its own answer."""
    service = ScriptedService(0.01)
    async with serving(service) as listener:
        answers = await asyncio.gather(*[say(listener.port, post(INFER, SMALL)) for _ in range(64)])

    assert {answer.status for answer in answers} == {200}
    assert len(service.requests) == 64
    assert service.running == 0


async def test_a_failing_service_does_not_count_as_running():
    """Whatever ends a request gives its place back."""
    async with serving(ScriptedService(GatewayError(Fault.UNAVAILABLE, "down"))) as listener:
        await say(listener.port, post(INFER, SMALL))

        assert listener.context.running == 0
