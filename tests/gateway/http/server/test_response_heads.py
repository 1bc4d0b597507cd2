"""The beginnings of HTTP/1.1 responses."""

from __future__ import annotations

from gateway.core.clock import LoopClock
from gateway.http.exchange import Fields
from gateway.http.server.date import DateClock
from gateway.http.server.response_heads import HeadRenderer


async def test_heads_are_rendered_once():
    """The same head is the same bytes until it is forgotten; the store is bounded."""
    heads = HeadRenderer(DateClock(LoopClock()))
    fields = Fields((b"a", b"1"))
    head = heads.render(200, fields)

    assert head is heads.render(200, fields)
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: ")
    assert head.endswith(b" GMT\r\nserver: edgeway\r\na: 1\r\n")
    heads.clear()
    assert head is not heads.render(200, fields)
    for _ in range(1000):
        heads.render(200, Fields())
    assert int(repr(heads).split()[1]) <= 256


async def test_every_status_has_a_phrase():
    """Also nginx's own for a client that has left."""
    heads = HeadRenderer(DateClock(LoopClock()))

    assert heads.render(499, Fields()).startswith(b"HTTP/1.1 499 Client Closed Request\r\n")
    assert heads.render(404, Fields()).startswith(b"HTTP/1.1 404 Not Found\r\n")
