"""What an HTTP/2 client sends at once is worked off in portions, and nothing of it is lost."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from gateway.http.exchange import Answer
from gateway.http.server.http2.connection import Http2ServerConnection
from tests.fakes.http2_frames import BEGIN, GOAWAY, HEADERS, data, frame, frames, headers, literal, reset
from tests.fakes.http2_wire import JSON, ScriptedApplication
from tests.fakes.turns import turns
from tests.fakes.virtual_connection import Peer, connected
from tests.gateway.http.server.http1.test_connection_turns import SlowClock

INTERNAL_ERROR = 2


async def count(_head: Any, body: Any) -> Answer:
    return Answer(200, JSON, (b"%d" % len(body),))


def counted(peer: Peer) -> list[int]:
    """The sizes that the bodies had, as the server says."""
    return [int(each.payload) for each in frames(peer.received) if each.kind == 0]


def served(**settings: Any) -> Any:
    return connected(Http2ServerConnection, ScriptedApplication(count), clock=SlowClock(), **settings)


async def test_small_requests_are_answered_a_few_in_each_turn():
    """Meanwhile nothing is read; what comes all the same waits behind the rest."""
    async with served() as peer:
        peer.send(BEGIN)
        peer.send(b"".join(headers(n, end=False) + data(n, b"x", end=True) for n in range(1, 181, 2)))
        assert (0 < len(counted(peer)) < 15, peer.is_read) == (True, False)
        peer.send(headers(181, end=False) + data(181, b"four", end=True))
        await turns(2)
        assert 15 < len(counted(peer)) < 50
        await turns(20)
        assert (counted(peer), peer.is_read) == ([1] * 90 + [4], True)


@pytest.mark.parametrize("size", [100, 16_000, 60_000])
async def test_one_request_is_answered_where_it_stands(size: int):
    async with served() as peer:
        peer.send(BEGIN)
        parts = b"".join(data(1, bytes(min(16_000, size - at))) for at in range(0, size, 16_000))
        peer.send(headers(1, end=False) + parts + data(1, b"", end=True))
        assert (counted(peer), peer.is_read) == ([size], True)


async def test_a_client_that_leaves_is_forgotten():
    async with served() as peer:
        peer.send(BEGIN + b"".join(headers(n) for n in range(1, 181, 2)))
        peer.leave()
        await turns(20)
        assert len(counted(peer)) < 20


async def test_heads_and_resets_in_one_piece_are_cut_off():
    """Each head costs a byte for each KiB that it becomes: they are not all decoded first."""
    pieces = [headers(1, end=False, more=literal(b"x", b"y" * 3900, indexed=True)) + reset(1)]
    pieces += [headers(n, end=False, more=b"\xbe" * 14) + reset(n) for n in range(3, 6001, 2)]
    async with served() as peer:
        peer.send(BEGIN)
        tracemalloc.start()
        try:
            peer.send(b"".join(pieces))
            await turns(1000)
            assert tracemalloc.get_traced_memory()[1] < 32 << 20
        finally:
            tracemalloc.stop()
        goaways = [each.payload[4:8] for each in frames(peer.received) if each.kind == GOAWAY]
        assert (peer.is_over, goaways) == (True, [INTERNAL_ERROR.to_bytes(4, "big")])


async def test_nothing_behind_a_broken_frame_is_answered():
    async with served() as peer:
        peer.send(BEGIN)
        before, behind = (
            b"".join(headers(n) for n in numbers) for numbers in (range(1, 61, 2), range(61, 121, 2))
        )
        peer.send(before + frame(HEADERS, 4, 2, b"\xff" * 600) + behind)
        await turns(30)
        answered = {each.stream for each in frames(peer.received) if each.kind == HEADERS}
        assert peer.is_over
        assert {1, 3, 5} <= answered <= set(range(1, 61, 2))
