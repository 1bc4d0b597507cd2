"""What an HTTP/1.1 client sends at once is worked off in portions, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.core.clock import LoopClock
from gateway.http.server.http1.connection import TURN_BYTES, Http1ServerConnection
from tests.fakes.application import FakeApplication
from tests.fakes.http import get, post
from tests.fakes.turns import turns
from tests.fakes.virtual_connection import connected


class SlowClock(LoopClock):
    """Between any two looks at it a second goes by: each turn of the loop has one portion."""

    def __init__(self) -> None:
        super().__init__()
        self._ticks = itertools.count()

    def tick(self) -> float:  # type: ignore[override] # an attribute there
        return float(next(self._ticks))


async def test_small_requests_are_answered_a_few_in_each_turn():
    """Meanwhile nothing is read; what comes all the same waits behind the rest."""
    async with connected(Http1ServerConnection, clock=SlowClock()) as peer:
        peer.send(get("/now") * 500)
        assert (len(peer.statuses), peer.is_read) == (1, False)
        peer.send(get("/missing"))
        await turns(10)
        assert 2 < len(peer.statuses) <= 12
        await turns(600)
        assert (len(peer.statuses), peer.is_read) == (501, True)


@pytest.mark.parametrize("again", [False, True], ids=["for the first time", "again"])
async def test_one_request_is_answered_where_it_stands(again: bool):
    """However large its body is, it is one portion, or two."""
    async with connected(Http1ServerConnection, clock=SlowClock()) as peer:
        request = post("/now", bytes(50_000))
        if again:
            peer.send(request)
            await turns(3)
        peer.send(request)
        if not again:
            await turns(2)
        assert peer.statuses == [200] * (2 if again else 1)


async def test_bodies_come_whole():
    """Small and large, chunked and not, one behind the other in one piece."""
    chunked = get("/size", "POST", Transfer_Encoding="chunked") + b"1\r\nx\r\n" * 9000 + b"0\r\n\r\n"
    sizes = [3, 200_000, 0, 70_000, 9000, 65_536]
    requests = [post("/size", bytes(size)) if size != 9000 else chunked for size in sizes]
    async with connected(Http1ServerConnection, clock=SlowClock()) as peer:
        peer.send(b"".join(requests))
        await turns(100)
        assert peer.statuses == [200] * 6
        assert peer.is_read


async def test_a_client_that_leaves_is_forgotten():
    async with connected(Http1ServerConnection, clock=SlowClock()) as peer:
        peer.send(get("/now") * 500)
        await turns(3)
        peer.leave()
        await turns(20)
        assert len(peer.statuses) < 20


async def test_nothing_behind_the_last_request_is_answered():
    """And nothing behind one that is malformed."""
    for last in (get("/now", Connection="close"), b"\0\r\n\r\n"):
        async with connected(Http1ServerConnection, clock=SlowClock()) as peer:
            peer.send(get("/now") * 100 + last + get("/now") * 100)
            await turns(300)
            assert len(peer.statuses) == 101
            assert peer.statuses[:100] == [200] * 100


async def test_a_drain_loses_none():
    """The last of those that have come ends the connection."""
    async with connected(Http1ServerConnection, clock=SlowClock()) as peer:
        peer.send(get("/now") * 300)
        await turns(3)
        peer.drain()
        await turns(400)
        assert peer.statuses == [200] * 300
        assert peer.received.count(b"connection: close") == 1


async def test_what_is_left_waits_for_answers():
    """A pipeline that is full does not read on when the rest is worked off."""
    application = FakeApplication()
    async with connected(Http1ServerConnection, application, clock=SlowClock()) as peer:
        peer.send(get("/later") * 300)
        await turns(400)
        assert (peer.statuses, peer.is_read) == ([], False)
        application.release()
        while len(peer.statuses) < 300:
            await asyncio.sleep(0.001)
        assert peer.is_read


async def test_others_have_a_turn_while_a_large_body_comes():
    """A transport reads on in the same turn for as long as there is something, unless it is paused."""
    piece, pieces = bytes(256 << 10), 24
    async with connected(Http1ServerConnection, FakeApplication(8 << 20)) as peer:
        peer.send(get("/size", "POST", Content_Length=str(len(piece) * pieces)))
        in_turn = most = 0
        for _ in range(pieces):
            peer.send(piece)
            in_turn += len(piece)
            most = max(most, in_turn)
            if not peer.is_read:
                await turns(2)
                assert peer.is_read
                in_turn = 0
        await turns(3)
        assert peer.statuses == [200]
    assert most == TURN_BYTES
