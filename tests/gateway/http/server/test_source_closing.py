"""Streamed answers over both protocols: whatever ends one, its source is closed once.

Each test runs over real sockets, for HTTP/1.1 and HTTP/2.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.http.exchange import AnyAnswer, StreamedAnswer
from gateway.http.server import source_closing
from gateway.http.server.source_closing import SourceCloser
from tests.fakes.application import connection
from tests.fakes.body_source import FakeSource, parts_of
from tests.fakes.http2_frames import POST
from tests.fakes.http2_wire import JSON, Wired, until, wired
from tests.fakes.loops import both_loops, skip_where_asyncio_never_pauses

PIECE = bytes(1 << 16)


class Peer:
    """One client of either protocol, which reads nothing unless it is told to."""

    def __init__(self, send: Callable[[str], None], leave: Callable[[], None]) -> None:
        self.send, self.leave = send, leave


@asynccontextmanager
async def peer_of(it: Wired, *, is_http2: bool, reads: bool = True) -> AsyncIterator[Peer]:
    if is_http2:
        async with it.client(reads=reads) as client:
            yield Peer(lambda method: _ignore(client.ask(method=method.encode())), client.leave)
        return
    async with connection(it.listener.port) as (_, writer):

        def send(method: str) -> None:
            writer.write(b"%b / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n" % method.encode())

        try:
            yield Peer(send, writer.transport.abort)
        finally:
            writer.transport.abort()


def _ignore(_value: object) -> None:
    pass


class Playing:
    """An application's answer: one streamed answer of ``parts``, after ``gate`` where there is one."""

    def __init__(self, parts: AsyncGenerator[bytes, None], **options: Any) -> None:
        self.source = FakeSource(parts, **options)
        self.gate: asyncio.Event | None = None
        self.is_called = False

    async def __call__(self, _head: Any, _body: Any) -> AnyAnswer:
        self.is_called = True
        if self.gate is not None:
            await self.gate.wait()
        return StreamedAnswer(200, JSON, self.source)


both = pytest.mark.parametrize("is_http2", [False, True], ids=["http1", "http2"])


async def endless(began: asyncio.Event) -> AsyncGenerator[bytes, None]:
    began.set()
    yield b"first"
    await asyncio.Event().wait()


async def never_waits() -> AsyncGenerator[bytes, None]:
    while True:
        yield PIECE


@both
async def test_a_whole_stream_is_closed(is_http2: bool):
    """Its trailers are read once, by HTTP/2, which can send them."""
    play = Playing(parts_of(b"a", b"b"), trailers=((b"grpc-status", b"0"),))
    async with wired(play) as it, peer_of(it, is_http2=is_http2) as peer:
        peer.send("POST")
        await until(lambda: play.source.closed)

    assert (play.source.closed, play.source.trailers_read) == (1, int(is_http2))


@both
async def test_a_client_that_leaves_within_a_stream(is_http2: bool):
    """The source is cancelled where it waits, and closed."""
    began = asyncio.Event()
    play = Playing(endless(began))
    async with wired(play) as it, peer_of(it, is_http2=is_http2) as peer:
        peer.send("POST")
        await began.wait()
        peer.leave()
        await until(lambda: play.source.closed)

    assert (play.source.closed, play.source.trailers_read) == (1, 0)


@both
async def test_a_client_that_leaves_before_the_stream(is_http2: bool):
    """The answer comes when nobody waits for it any more: its source is closed, unread."""
    play = Playing(parts_of(b"never read"))
    play.gate = asyncio.Event()

    async def stubborn(head: Any, body: Any) -> AnyAnswer:
        try:
            return await play(head, body)
        except asyncio.CancelledError:
            return StreamedAnswer(200, JSON, play.source)

    async with wired(stubborn) as it, peer_of(it, is_http2=is_http2) as peer:
        peer.send("POST")
        await until(lambda: play.is_called)
        peer.leave()
        await until(lambda: play.source.closed)

    assert play.source.closed == 1


@both
async def test_a_source_that_fails(is_http2: bool, caplog: pytest.LogCaptureFixture):
    """The error is in the log, and the source is closed; without trailers, or a client would believe it."""
    play = Playing(parts_of(b"a", error=ZeroDivisionError("secret")))
    async with wired(play) as it, peer_of(it, is_http2=is_http2) as peer:
        peer.send("POST")
        await until(lambda: play.source.closed)

    assert (play.source.closed, play.source.trailers_read) == (1, 0)
    assert "a streamed answer failed" in caplog.text


@both
async def test_a_source_that_cannot_be_closed(is_http2: bool, caplog: pytest.LogCaptureFixture):
    """The answer is whole all the same, and the connection goes on."""
    play = Playing(parts_of(b"a"), close_error=OSError("it is stuck"))
    async with wired(play) as it, peer_of(it, is_http2=is_http2) as peer:
        peer.send("POST")
        await until(lambda: play.source.closed == 1)
        await it.released()
        assert it.context.registry

    assert "could not be closed" in caplog.text


@both
@both_loops
async def test_a_peer_that_does_not_read(is_http2: bool):
    """The source is asked for no more than may wait; when the time is over it is closed."""
    skip_where_asyncio_never_pauses()
    play = Playing(never_waits())
    limits = {"write_timeout_s": 0.3}
    async with wired(play, **limits) as it, peer_of(it, is_http2=is_http2, reads=False) as peer:
        peer.send("POST")
        await until(lambda: play.source.closed)

    assert play.source.closed == 1


@both
async def test_only_the_headers(is_http2: bool):
    """HEAD: no part is asked for, and the source is closed."""

    async def parts() -> AsyncGenerator[bytes, None]:
        raise AssertionError
        yield b""

    play = Playing(parts())
    async with wired(play) as it, peer_of(it, is_http2=is_http2) as peer:
        peer.send("HEAD")
        await until(lambda: play.source.closed)
        await it.released()

    assert play.source.closed == 1


async def test_a_stream_that_is_cancelled_before_it_begins():
    """HTTP/2: the reset comes with the request, before the answer's task has taken a step."""
    play = Playing(parts_of(b"never read"))
    async with wired(play) as it, it.client() as client:
        stream = client.http2.send_request([(b":method", b"POST"), *POST[1:]], end_stream=True)
        request = client.http2.data_to_send()
        client.http2.reset_stream(stream, 8)
        client.writer.write(request + client.http2.data_to_send())
        await until(lambda: play.source.closed)

    assert (play.source.closed, play.is_called) == (1, True)


@both
async def test_a_listener_that_closes_within_a_stream(is_http2: bool):
    """When it is closed, so is the source."""
    began = asyncio.Event()
    play = Playing(endless(began))
    async with wired(play) as it, peer_of(it, is_http2=is_http2) as peer:
        peer.send("POST")
        await began.wait()
        await it.listener.aclose()
        assert play.source.closed == 1


async def test_a_source_that_is_never_closed(monkeypatch: pytest.MonkeyPatch):
    """The end waits for it, and not for ever."""
    monkeypatch.setattr(source_closing, "LIMIT_S", 0.02)

    class Stuck(FakeSource):
        async def aclose(self) -> None:
            await asyncio.Event().wait()

    closer = SourceCloser(asyncio.get_running_loop())
    closer.close(Stuck(parts_of()))
    assert repr(closer) == "<SourceCloser, 1 closing>"
    await closer.aclose()
    await asyncio.sleep(0)

    assert repr(closer) == "<SourceCloser, 0 closing>"
