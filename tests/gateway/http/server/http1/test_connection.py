"""One HTTP/1.1 connection, over real sockets and both event loops: order, refusals, time, and the end."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

import pytest

from gateway.core.clock import LoopClock
from gateway.core.eager import begin
from gateway.http.server.http1 import connection as connection_module
from gateway.http.server.http1 import requests as requests_module
from gateway.http.server.listener import HttpListener
from gateway.http.server.settings import TransportSettings
from tests.fakes.application import FakeApplication, connection, is_at_rest, is_free, listening, until
from tests.fakes.http import get, post, read_answer
from tests.fakes.loops import both_loops, skip_where_asyncio_never_pauses
from tests.fakes.turns import turns

KIB = 1 << 10
MIB = 1 << 20
ALL_OF_IT = {"max_buffered_percent_per_address": 100, "max_buffered_percent_of_strangers": 100}
HEADS_S = TransportSettings(request_headers_timeout_s=0.2)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is closed, which it must be."""
    async with asyncio.timeout(30):
        return await reader.read()


def small_socket(port: int) -> socket.socket:
    """A client's socket that holds next to nothing of what it is sent."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


# --- order


@both_loops
async def test_pipelined_answers_come_in_order():
    """The first waits, the others need not: nobody overtakes."""
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(post("/later?1") + get("/now?2") + post("/later?3", b"x") + post("/now?4", b"y"))
        await until(lambda: listener.context.running == 4)
        application.release()

        bodies = [(await read_answer(reader)).body for _ in range(4)]

        await until(lambda: is_free(listener))
    assert bodies == [b"/later?1:", b"/now?2:", b"/later?3:x", b"/now?4:y"]


@both_loops
async def test_what_is_sent_ahead_is_bounded():
    """Beyond max_pipelined nothing more is read: it stays with the peer."""
    application = FakeApplication()
    settings = TransportSettings(max_pipelined=4)
    one = post("/later", bytes(8 * KIB))
    async with listening(application, settings) as listener, connection(listener.port) as (reader, writer):
        writer.transport.set_write_buffer_limits(0)
        writer.write(one * 2000)
        await until(lambda: listener.context.running)
        await turns()
        waiting = listener.context.running
        application.release()

        for _ in range(2000):
            assert (await read_answer(reader)).status == 200

    # What one read brought was read.
    assert waiting <= 4 + 256 * KIB // len(one) + 2


@both_loops
async def test_garbage_behind_a_good_request():
    """However long the good one takes, it is answered; then comes the refusal, then the end."""
    application = FakeApplication()
    settings = TransportSettings(lingering_s=0.1)
    async with listening(application, settings) as listener, connection(listener.port) as (reader, writer):
        writer.write(post("/later", b"x") + b"secret garbage\r\n\r\n" + get("/now"))
        await until(lambda: listener.context.running == 2)
        application.release()

        first, second = await read_answer(reader), await read_answer(reader)

        assert await rest_of(reader) == b""
        await until(lambda: is_at_rest(listener))
    assert (first.status, second.status, second.headers["connection"]) == (200, 400, "close")
    assert b"secret" not in second.body
    assert [head.path for head in application.heads] == ["/later"]


@pytest.mark.parametrize("path", ["/now", "/later"])
@both_loops
async def test_nothing_is_answered_after_the_last(path):
    """A client that says close gets one answer, whatever it sends behind."""
    application = FakeApplication()
    application.release()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(get(path, Connection="close") + get("/now"))

        received = await read_answer(reader)

        assert await rest_of(reader) == b""
    assert (received.status, received.headers["connection"]) == (200, "close")
    assert len(application.heads) == 1


@both_loops
async def test_an_answer_that_ends_the_connection():
    """The application may end it; what waits behind is not answered, and nothing is left hanging."""
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(get("/last") + post("/now", b"x") + get("/now"))

        received = await read_answer(reader)

        assert await rest_of(reader) == b""
        writer.close()
        await until(lambda: is_at_rest(listener))
    assert received.headers["connection"] == "close"
    assert [head.path for head in application.heads] == ["/last"]


@both_loops
async def test_a_close_behind_a_large_body():
    """The rule holds, too, where the body was taken past the parser."""
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(post("/now", bytes(100 * KIB), Connection="close") + get("/now"))

        await read_answer(reader)

        assert await rest_of(reader) == b""
    assert len(application.heads) == 1


@pytest.mark.parametrize(
    "head", [get("/now"), post("/now", b"x"), get("/now", Upgrade="h2c", Connection="upgrade")]
)
@both_loops
async def test_as_many_as_one_read_can_hold(head):
    """Thousands of small requests in one piece are no deeper than one."""
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(head)
        await read_answer(reader)
        writer.write(head * 5000)

        for _ in range(5000):
            assert (await read_answer(reader)).status == 200


# --- HEAD, 1.0, Expect


@both_loops
async def test_head_has_no_body():
    """It has the length, and the next answer follows at once; a stream has none at all."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(get("/now", "HEAD") + get("/streams?3", "HEAD") + get("/refused", "HEAD") + get("/now"))

        first = await read_answer(reader, has_body=False)
        second = await read_answer(reader, has_body=False)
        third = await read_answer(reader, has_body=False)
        fourth = await read_answer(reader)

    assert first.headers["content-length"] == "5"
    assert second.headers["transfer-encoding"] == "chunked"
    assert (third.status, fourth.body) == (403, b"/now:")


@both_loops
async def test_http_10():
    """It closes unless it is asked not to; a stream ends with the connection."""
    async with listening(FakeApplication()) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(get("/now", version="1.0", Connection="keep-alive") + get("/now", version="1.0"))
            kept, closed = await read_answer(reader), await read_answer(reader)
            assert await rest_of(reader) == b""
        async with connection(listener.port) as (reader, writer):
            writer.write(get("/streams?2", version="1.0", Connection="keep-alive"))
            head, _, body = (await rest_of(reader)).partition(b"\r\n\r\n")

    assert (kept.headers["connection"], closed.headers["connection"]) == ("keep-alive", "close")
    assert b"connection: close" in head
    assert b"chunked" not in head
    assert body == bytes(2 << 16)


@both_loops
async def test_expect():
    """The word to go on is given to those who wait for it, once."""
    application = FakeApplication()
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    async with listening(application) as listener:
        for path in ("/now", "/stream"):
            application.release()
            async with connection(listener.port) as (reader, writer):
                writer.write(post(path, b"abc", Expect="100-continue")[:-3])
                assert await reader.readexactly(len(go_on)) == go_on
                writer.write(b"abc" + get("/now"))
                statuses = [(await read_answer(reader)).status for _ in range(2)]
                assert statuses == [200, 200]


@both_loops
async def test_expect_behind_another():
    """Not before the answers that come first, or it would be taken for theirs; but then."""
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(get("/later") + post("/now", b"abc", Expect="100-continue")[:-3])
        await until(lambda: application.heads)
        application.release()

        assert (await read_answer(reader)).body == b"/later:"
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 100")
        writer.write(b"abc")
        assert (await read_answer(reader)).body == b"/now:abc"


@pytest.mark.parametrize(("path", "length", "status"), [("/refused", 3, 403), ("/now", 2 * MIB, 413)])
@both_loops
async def test_expect_of_what_is_refused(path, length, status):
    """It gets no word to go on; and as nobody knows whether the body comes, the connection ends."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(get(path, "POST", Expect="100-continue", Content_Length=str(length)))

        received = await rest_of(reader)

    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in received


# --- refusals


@both_loops
async def test_a_refusal_before_a_small_body():
    """The body is read and dropped, and the connection lives on; the application is asked once."""
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(post("/refused", b"x" * 1000) + post("/now", b"y"))
        first, second = await read_answer(reader), await read_answer(reader)
        writer.write(post("/refused", b"x" * 1000)[:-500])
        third = await read_answer(reader)
        writer.write(b"x" * 500 + get("/now"))
        fourth = await read_answer(reader)

    assert [first.status, second.status, third.status, fourth.status] == [403, 200, 403, 200]
    assert [head.path for head in application.opened] == ["/refused", "/now", "/refused", "/now"]


@pytest.mark.parametrize("close", [False, True])
@both_loops
async def test_a_refusal_of_a_body_on_its_way(close):
    """The client gets to read why, though it still sends: closed at once, the kernel would take it back."""
    size = 100 if close else 8 * MIB
    headers = {"Connection": "close"} if close else {}
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        sent = post("/refused", bytes(size), **headers)
        writer.write(sent[:-size])
        await until(lambda: application.opened)
        writer.write(sent[-size:])

        received = await read_answer(reader)

        assert await rest_of(reader) == b""
        writer.close()
        await until(lambda: is_at_rest(listener))
    assert (received.status, received.headers["connection"]) == (403, "close")


@both_loops
async def test_lingering_ends():
    """A peer that goes on sending is left after its time."""
    settings = TransportSettings(lingering_s=0.2)
    async with listening(FakeApplication(), settings) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(b"garbage\r\n\r\n")
            assert (await read_answer(reader)).status == 400
            with pytest.raises(ConnectionError):
                async with asyncio.timeout(30):
                    while True:
                        writer.write(b"more")
                        await writer.drain()
                        await asyncio.sleep(0.02)
        await until(lambda: is_at_rest(listener))


@both_loops
@pytest.mark.parametrize("framing", [{"Content_Length": str(1 << 30)}, {"Transfer_Encoding": "chunked"}])
async def test_what_comes_after_a_refusal_is_read_up_to_a_bound(framing):
    """It is not for a stranger to say how much of the loop's time it takes to drop what it sends."""
    settings = TransportSettings(lingering_s=60.0)
    application = FakeApplication()
    async with listening(application, settings) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(get("/refused", "POST", **framing))
            assert (await read_answer(reader)).status == 403
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5.0):
                    for _ in range(2048):
                        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                        await writer.drain()
        await listener.aclose(0)


@pytest.mark.parametrize(
    "body",
    [
        get("/now", "POST", Content_Length="1048577"),
        post("/now", bytes(MIB + 1)),
        get("/now", "POST", Transfer_Encoding="chunked") + b"100001\r\n" + bytes(MIB + 1),
        get("/now", "POST", Transfer_Encoding="chunked") + (b"8000\r\n" + bytes(1 << 15) + b"\r\n") * 33,
    ],
    ids=["declared", "sent", "one chunk", "chunks"],
)
@both_loops
async def test_too_large(body):
    """413, and nothing of it is kept."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(body)

        received = await read_answer(reader)

        assert await rest_of(reader) == b""
        assert is_free(listener)
    assert (received.status, received.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("size", [400 * KIB, 62 * KIB], ids=["large", "small"])
@both_loops
async def test_too_much_in_all(size):
    """Requests of all connections together are bounded; what does not fit is 503, until there is room."""
    application = FakeApplication()
    settings = TransportSettings(max_buffered_mib=1, **ALL_OF_IT)
    fits = MIB // (size + 5 * KIB)
    async with listening(application, settings) as listener:
        clients = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(fits + 1)]
        for _, writer in clients[:-1]:
            writer.write(post("/later", bytes(size)))
        await until(lambda: listener.context.address_limits.buffered == size * fits)
        clients[-1][1].write(post("/now", bytes(size)))
        refused = await read_answer(clients[-1][0])
        application.release()
        answers = [await read_answer(reader) for reader, _ in clients[:-1]]
        clients[0][1].write(post("/now", bytes(size)))
        later = await read_answer(clients[0][0])
        for _, writer in clients:
            writer.close()
        await until(lambda: is_at_rest(listener))

    assert refused.status == 503
    assert {answer.status for answer in answers} | {later.status} == {200}


@both_loops
async def test_small_chunks_take_what_they_count():
    """A body of one- and two-byte chunks is what its bytes are."""
    body = bytes(range(256)) * 4
    chunks = b"".join(b"2\r\n%b\r\n" % body[at : at + 2] for at in range(0, len(body), 2)) + b"0\r\n\r\n"
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(get("/now", "POST", Transfer_Encoding="chunked") + chunks + get("/now"))

        received = await read_answer(reader)

        assert (await read_answer(reader)).status == 200
    assert received.body == b"/now:" + body


# --- clients that leave


@both_loops
async def test_a_client_that_leaves():
    """What it asked is cancelled, what waits is dropped, and everything is given back."""
    application = FakeApplication()
    async with listening(application) as listener:
        async with connection(listener.port) as (_, writer):
            writer.write(post("/later", b"x" * 1000) + post("/now", b"y" * 1000) + b"garbage\r\n\r\n")
            await until(
                lambda: (listener.context.running, listener.context.address_limits.buffered) == (3, 2000)
            )
        await until(lambda: is_at_rest(listener))

    assert application.cancelled == 1


@pytest.mark.parametrize("path", ["/now", "/stream"])
@both_loops
async def test_a_client_that_leaves_within_its_body(path):
    """The bytes that came are given back; whoever reads them learns of the end."""
    application = FakeApplication()
    async with listening(application) as listener:
        async with connection(listener.port) as (_, writer):
            writer.write(post(path, bytes(900 * KIB))[: -100 * KIB])
            await until(lambda: listener.context.address_limits.buffered >= 700 * KIB or application.heads)
            application.release()
        await until(lambda: is_at_rest(listener))


@both_loops
async def test_a_client_that_leaves_within_its_answer():
    """The stream of its answer is closed, not left to itself."""
    skip_where_asyncio_never_pauses()
    application = FakeApplication()
    async with listening(application) as listener:
        async with connection(listener.port) as (reader, writer):
            writer.write(get("/streams?100000"))
            await reader.readexactly(1000)
        await until(lambda: is_at_rest(listener))

    assert application.broken == ["answer"]


# --- streams


@both_loops
async def test_a_streamed_body_is_held_back():
    """No more comes than the reader takes; all of it does in the end."""
    application = FakeApplication(64 * MIB)
    size = 32 * MIB
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.transport.set_write_buffer_limits(0)
        writer.write(post("/stream", bytes(size)) + get("/now"))
        await until(lambda: application.heads)
        await turns()
        unsent = writer.transport.get_write_buffer_size()
        application.release()

        received = await read_answer(reader)

        assert (await read_answer(reader)).body == b"/now:"
    # The kernel's two buffers hold the rest.
    assert unsent > size - 16 * MIB
    assert received.body == b"%d" % size


@both_loops
async def test_a_streamed_body_that_is_too_large():
    """The request has one answer, which is its last, and not two."""
    application = FakeApplication(1000)
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        writer.write(get("/stream", "POST", Transfer_Encoding="chunked") + b"3e8\r\n" + bytes(1000) + b"\r\n")
        await until(lambda: application.heads)
        writer.write(b"1\r\n" + bytes(1) + b"\r\n" + b"0\r\n\r\n" + get("/now"))
        await turns()
        application.release()

        await read_answer(reader)

        assert await rest_of(reader) == b""
    assert application.broken == ["the rest of the body never came"]
    assert len(application.heads) == 1


@both_loops
async def test_a_slow_reader_holds_the_stream_back():
    """What is made waits for what is read; a reader of nothing is cut off at write_timeout."""
    skip_where_asyncio_never_pauses()
    application = FakeApplication()
    settings = TransportSettings(write_timeout_s=0.5)
    async with listening(application, settings) as listener:
        client = small_socket(listener.port)
        client.send(get("/streams?4000"))
        await until(lambda: application.sent)
        await until(lambda: is_at_rest(listener))
        client.close()

    assert 0 < application.sent < 16 * MIB
    assert application.broken == ["answer"]


@both_loops
@pytest.mark.parametrize("more", [{}, {"Connection": "close"}], ids=["kept", "closed"])
async def test_a_reader_that_is_slow_and_steady(more):
    """An answer may take longer than write_timeout, as long as enough of it is taken in each."""
    size, settings = 24 * MIB, TransportSettings(write_timeout_s=0.5)
    async with listening(FakeApplication(), settings) as listener:
        client = socket.create_connection(("127.0.0.1", listener.port))
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * KIB)
        loop, got = asyncio.get_running_loop(), 0
        await loop.sock_sendall(client, get(f"/large?{size}", **more))
        while got < size and (part := await loop.sock_recv(client, 256 * KIB)):
            got += len(part)
            await asyncio.sleep(len(part) / (12 * MIB))
        client.close()

    assert got >= size


@both_loops
async def test_answers_that_nobody_reads_are_not_made():
    """Requests sent ahead whose answers are large: one read's worth of them is not answered at once.

    What the client reads ahead is next to nothing.
    """
    skip_where_asyncio_never_pauses()
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port, 4096) as (reader, writer):
        writer.write(get("/large?1048576") * 500)
        await until(lambda: application.heads)
        await turns()
        made = len(application.heads)
        for _ in range(500):
            assert len((await read_answer(reader)).body) == MIB

    assert made < 100


@both_loops
async def test_a_peer_that_does_not_read_its_last_bytes():
    """Closing waits for them, and not for ever; though they are too few to hold anything back."""
    settings = TransportSettings(write_timeout_s=0.3, lingering_s=0.1)
    application = FakeApplication()
    listening_socket = socket.create_server(("127.0.0.1", 0))
    # Accepted sockets inherit it: what the kernel does not hold stays with us.
    listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listener = HttpListener(application, LoopClock(), settings)
    await listener.start_on(listening_socket)
    client = small_socket(listener.port)
    client.send(get("/large?60000", Connection="close"))

    await until(lambda: application.heads)
    await until(lambda: is_at_rest(listener))

    client.close()
    await listener.aclose()


@both_loops
async def test_a_stream_that_fails_breaks_the_connection(caplog):
    """The head has said 200: only a body without an end tells the client."""
    with caplog.at_level(logging.ERROR):
        async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
            writer.write(get("/breaks") + get("/now"))
            received = b""
            try:
                received = await reader.readuntil(b"a part\r\n")
                assert await rest_of(reader) == b""
            except (ConnectionResetError, asyncio.IncompleteReadError):
                pass
            await until(lambda: is_at_rest(listener))

    assert b"0\r\n\r\n" not in received
    assert "a streamed answer failed" in caplog.text


# --- time


@pytest.mark.parametrize(
    "sent", [b"GET /now HT", get("/now") + b"GET /now HT", post("/now", b"x") + b"POST "]
)
@both_loops
async def test_headers_that_take_too_long(sent):
    """408 from the first byte on, whether alone or in one piece with a request that was answered."""
    async with (
        listening(FakeApplication(), HEADS_S) as listener,
        connection(listener.port) as (reader, writer),
    ):
        writer.write(sent)

        received = await rest_of(reader)

    assert received.count(b"HTTP/1.1 200") == (b"\r\n\r\n" in sent)
    assert received.count(b"HTTP/1.1 408") == 1


@pytest.mark.parametrize("sent", [b"", b"\r\n\r\n", b"P"])
@both_loops
async def test_a_new_connection_that_says_nothing(sent):
    """It is closed, without a word."""
    async with (
        listening(FakeApplication(), HEADS_S) as listener,
        connection(listener.port) as (reader, writer),
    ):
        writer.write(sent)
        try:
            assert (await rest_of(reader))[:12] in {b"", b"HTTP/1.1 408"}
        except ConnectionResetError:
            pass
        await until(lambda: is_at_rest(listener))


@pytest.mark.parametrize("path", ["/now", "/stream"])
@both_loops
async def test_a_body_that_drips(path):
    """After the first seconds the average counts: 408, or for a stream the end of it."""
    application = FakeApplication()
    application.release()
    settings = TransportSettings(body_timeout_s=0.3, min_body_bytes_per_s=10_000)
    async with listening(application, settings) as listener, connection(listener.port) as (reader, writer):
        writer.write(get(path, "POST", Content_Length="100000"))

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        received = await read_answer(reader)
        dripping.cancel()
        assert await rest_of(reader) == b""
        writer.close()
        await until(lambda: is_at_rest(listener))
    assert received.status == (408 if path == "/now" else 200)
    assert application.broken == ([] if path == "/now" else ["the rest of the body never came"])


@pytest.mark.parametrize("endless", [b"0\r\nX-Trailer: ", b"1;extension="])
@both_loops
async def test_endless_words_between_chunks(endless):
    """Extensions of chunks and trailers are bounded in all, though they are no body."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(get("/now", "POST", Transfer_Encoding="chunked") + endless)

        async def drip() -> None:
            for _ in range(1000):
                writer.write(b"x" * 1000)
                await asyncio.sleep(0)

        dripping = asyncio.create_task(drip())
        received = await read_answer(reader)
        dripping.cancel()
    assert received.status == 431


# --- the end


@both_loops
async def test_drain():
    """Whoever is under way is answered and told; whoever waits is closed soon."""
    application = FakeApplication()
    async with listening(application) as listener:
        clients = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(4)]
        (busy, b), (waiting_requests, a), (partly, p), (idle, i) = clients
        b.write(post("/later", b"x"))
        a.write(get("/later?1") + get("/now?2") + get("/later?3"))
        p.write(post("/now", b"xyz")[:-1])
        i.write(get("/now"))
        await read_answer(idle)
        await until(lambda: listener.context.running == 4)

        drain = listener.context.drain
        closing = asyncio.create_task(listener.aclose(10))
        await until(lambda: drain.is_active)
        i.write(get("/now"))
        p.write(b"z")
        application.release()
        received = [await read_answer(reader) for reader in (busy, partly, idle)]
        pipelined = [await read_answer(waiting_requests) for _ in range(3)]
        for reader, _ in clients:
            assert await rest_of(reader) == b""
        await closing
        for _, writer in clients:
            writer.close()

    assert {(answer.status, answer.headers["connection"]) for answer in received} == {(200, "close")}
    assert [answer.body for answer in pipelined] == [b"/later?1:", b"/now?2:", b"/later?3:"]
    assert [answer.headers.get("connection") for answer in pipelined] == [None, None, "close"]


@both_loops
async def test_drain_leaves_the_silent():
    """An idle connection is closed a moment later, not at the end of the grace."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(get("/now"))
        await read_answer(reader)

        async with asyncio.timeout(30):
            await listener.aclose(60)

        assert await rest_of(reader) == b""


# --- applications that fail


@pytest.mark.parametrize("path", ["/raises", "/raises-later"])
@pytest.mark.parametrize("body", [b"", b"x"], ids=["without a body", "with one"])
@both_loops
async def test_an_application_that_raises(caplog, path, body):
    """500 in JSON, a traceback in the log, and the connection lives on."""
    with caplog.at_level(logging.ERROR):
        async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
            writer.write(post(path, body))
            received = await read_answer(reader)
            writer.write(get("/now"))
            assert (await read_answer(reader)).status == 200
            assert is_free(listener)

    assert (received.status, received.error) == (500, "internal error")
    assert "secret" in caplog.text


@pytest.mark.parametrize("path", ["/gives-up", "/gives-up-later"])
@both_loops
async def test_an_application_that_gives_up(path):
    """Even one that cancels itself is answered for, as over HTTP/2: nobody left, so somebody waits."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(post(path, b"x"))
        assert (await read_answer(reader)).status == 500
        writer.write(get("/now"))
        assert (await read_answer(reader)).status == 200
        assert is_free(listener)


# --- what it costs


@both_loops
async def test_an_immediate_answer_costs_no_turn(monkeypatch: pytest.MonkeyPatch):
    """Neither alone nor in a pipeline is a task left to go on; for one that waits there is."""
    left: list[bool] = []

    def seen(call: Any, loop: Any, done: Any) -> Any:
        begun = begin(call, loop, done)
        left.append(isinstance(begun, asyncio.Task))
        return begun

    monkeypatch.setattr(connection_module, "begin", seen)
    monkeypatch.setattr(requests_module, "begin", seen)
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (reader, writer):
        for sent in (get("/now") * 3, post("/now", b"x"), post("/refused", b"x"), get("/now", "HEAD")):
            writer.write(sent)
            await reader.readuntil(b"\r\n\r\n")
        writer.write(post("/context", b"x"))
        await until(lambda: len(application.heads) == 6)

    assert left == [False] * 5 + [True]


@both_loops
async def test_context_survives_the_wait():
    """What the first step set is there in the task that goes on, and can be reset there."""
    async with listening(FakeApplication()) as listener, connection(listener.port) as (reader, writer):
        writer.write(post("/context", b"x"))

        assert (await read_answer(reader)).body == b"said before the wait"


@both_loops
async def test_the_same_head_is_the_same_object():
    """What was found out about it is there the next time; but not for another connection."""
    application = FakeApplication()
    sent = post("/now", b"x")
    async with listening(application) as listener:
        for _ in range(2):
            async with connection(listener.port) as (reader, writer):
                for each in (sent, sent, sent + sent, post("/now", b"xy"), sent):
                    writer.write(each)
                    await read_answer(reader)
                await read_answer(reader)

    first, second, third, fourth, other, again, *rest = application.heads
    assert first is second is third is fourth
    assert other is not first
    assert again is not other
    assert {id(head) for head in application.heads[:6]}.isdisjoint(id(head) for head in rest)


@both_loops
async def test_repr_shows_the_state():
    """A listener's books name what its connections wait for."""
    application = FakeApplication()
    async with listening(application) as listener, connection(listener.port) as (_, writer):
        writer.write(get("/later") + get("/now"))
        await until(lambda: application.heads)
        (only,) = listener.context.registry.all
        assert repr(only) == "<Http1ServerConnection answering, 1 waiting>"
