"""The time limits of an HTTP/1.1 connection, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.http.exchange import AnyAnswer, BodyPolicy
from gateway.http.server.http1.connection import Http1ServerConnection
from tests.fakes.application import FakeApplication
from tests.fakes.body_source import streamed
from tests.fakes.http import get, post
from tests.fakes.http2_wire import ScriptedApplication
from tests.fakes.virtual_connection import connected
from tests.fakes.virtual_time import virtual_time


@virtual_time
async def test_pipelined_requests_outlive_the_time_for_bodies():
    """A request that waits behind a slow one has come whole: no body is late, and none is cut."""
    application = FakeApplication()
    limits = {"body_timeout_s": 1.0, "lingering_s": 1.0, "request_headers_timeout_s": 1.0}
    async with connected(Http1ServerConnection, application, **limits) as peer:
        peer.send(post("/later?1", b"x"))
        await asyncio.sleep(0.5)
        peer.send(post("/later?2", b"y"))
        await asyncio.sleep(100)
        application.release()
        await asyncio.sleep(0.1)

        assert peer.statuses == [200, 200]
        assert peer.received.index(b"/later?1:x") < peer.received.index(b"/later?2:y")


@virtual_time
async def test_garbage_behind_a_good_request():
    """However long the good one takes, it is answered; then comes the refusal, then the end."""
    application = FakeApplication()
    async with connected(Http1ServerConnection, application, lingering_s=1.0) as peer:
        peer.send(post("/later", b"x") + b"secret garbage\r\n\r\n" + get("/now"))
        await asyncio.sleep(100)
        application.release()
        await asyncio.sleep(0.1)
        assert (peer.statuses, peer.has_ended, peer.is_over) == ([200, 400], True, False)
        await asyncio.sleep(2)

        assert peer.is_over
        assert b"secret" not in peer.received
        assert [head.path for head in application.heads] == ["/later"]


@virtual_time
async def test_headers_behind_a_request_under_way():
    """They take too long, but the request before them is answered first."""
    application = FakeApplication()
    async with connected(Http1ServerConnection, application, request_headers_timeout_s=1.0) as peer:
        peer.send(post("/later", b"x") + b"GET /no")
        await asyncio.sleep(100)
        application.release()
        await asyncio.sleep(0.1)

        assert (peer.statuses, peer.has_ended) == ([200, 408], True)


@virtual_time
async def test_an_idle_connection():
    """It is closed after its time, which begins with the last answer."""
    async with connected(Http1ServerConnection, idle_timeout_s=60.0) as peer:
        for _ in range(5):
            peer.send(get("/now"))
            await asyncio.sleep(59)
        peer.send(post("/now", b"x"))
        assert (peer.statuses, peer.is_over) == ([200] * 6, False)
        await asyncio.sleep(60.5)

        assert peer.is_over


@virtual_time
async def test_a_body_that_is_fast_enough():
    """A long body at a fair rate may take longer than body_timeout."""
    limits = {"body_timeout_s": 2.0, "min_body_bytes_per_s": 1_000}
    async with connected(Http1ServerConnection, **limits) as peer:
        peer.send(get("/now", "POST", Content_Length="10000"))
        for _ in range(10):
            await asyncio.sleep(0.9)
            peer.send(b"x" * 1000)

        assert peer.statuses == [200]


@virtual_time
async def test_a_body_that_drips():
    """After the first seconds the average counts."""
    limits = {"body_timeout_s": 2.0, "min_body_bytes_per_s": 1_000}
    async with connected(Http1ServerConnection, **limits) as peer:
        peer.send(get("/now", "POST", Content_Length="10000"))
        for _ in range(10):
            await asyncio.sleep(0.9)
            peer.send(b"x" * 10)

        assert peer.statuses == [408]


@pytest.mark.parametrize("has_body", [True, False], ids=["request", "answer"])
@virtual_time
async def test_a_streamed_request_in_which_nothing_happens(has_body: bool):
    """Its connection ends after the idle limit; what its client sends, and what it is sent, counts as life."""

    async def parts() -> Any:
        for _ in range(5):
            await asyncio.sleep(8)
            yield b"x"
        await asyncio.sleep(1000)

    async def answer(_head: Any, _body: Any) -> AnyAnswer:
        await asyncio.sleep(1000 if has_body else 0)
        return streamed(parts())

    application = ScriptedApplication(answer, BodyPolicy(1 << 20, is_stream=True))
    limits = {"stream_idle_timeout_s": 10.0, "body_timeout_s": 1000.0, "request_timeout_s": 1000.0}
    async with connected(Http1ServerConnection, application, **limits) as peer:
        peer.send(get("/x", "POST", Content_Length="5" if has_body else "0"))
        for _ in range(5):
            await asyncio.sleep(8)
            if has_body:
                peer.send(b"x")
        await asyncio.sleep(9)
        assert not peer.is_over
        await asyncio.sleep(3)
        assert peer.is_over


@virtual_time
async def test_a_whole_request_may_take_as_long_as_it_likes():
    application = FakeApplication()
    async with connected(Http1ServerConnection, application, stream_idle_timeout_s=10.0) as peer:
        peer.send(post("/later", b"x"))
        await asyncio.sleep(100)
        application.release()
        await asyncio.sleep(1)
        assert peer.statuses == [200]
