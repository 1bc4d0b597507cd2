"""Offers to upgrade, which are not taken: whatever comes with one, the next request begins where it begins."""

from __future__ import annotations

import pytest

from gateway.wire.framing.http1_server import END, Broken, Http1Server, RequestHead

OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n",
    "none": b"",
}
BODIES = {
    "counted": (b"Content-Length: 5\r\n\r\nhello", b"hello", 5),
    "chunked": (
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nx: y\r\n\r\n",
        b"hello",
        None,
    ),
    # What would be a request of its own if it were not a body.
    "another request": (
        b"Content-Length: 33\r\n\r\nGET /hidden HTTP/1.1\r\nHost: b\r\n\r\n",
        b"GET /hidden HTTP/1.1\r\nHost: b\r\n\r\n",
        33,
    ),
    "empty": (b"Content-Length: 0\r\n\r\n", b"", 0),
    "none": (b"\r\n", b"", 0),
}
NEXT = b"GET /next HTTP/1.1\r\nHost: b\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("offer", OFFERS)
def test_the_body_of_a_request_that_offers_an_upgrade(offer, body, size):
    """It is read as without the offer, and what follows is the next request; twice in a row."""
    sent, plain, length = BODIES[body]
    stream = (b"POST /first HTTP/1.1\r\nHost: a\r\n" + OFFERS[offer] + sent) * 2 + NEXT
    server, events = Http1Server(), []

    for start in range(0, len(stream), size):
        events += server.feed(stream[start : start + size])

    heads = [event for event in events if isinstance(event, RequestHead)]
    assert [(head.path, head.length, head.keep_alive) for head in heads] == [
        ("/first", length, True),
        ("/first", length, True),
        ("/next", 0, True),
    ]
    assert events.count(END) == 3
    assert b"".join(bytes(event) for event in events if isinstance(event, bytes | memoryview)) == plain * 2


@pytest.mark.parametrize("length", [b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b""])
def test_an_offer_on_a_connection_that_ends(length):
    """Close is close, with a body and without one: nothing after it is a request."""
    body = b"hello" if b"5" in length else b""
    head = b"POST /last HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: h2c\r\n"
    server = Http1Server()

    events = server.feed(head + length + b"\r\n" + body)

    assert [event.keep_alive for event in events if isinstance(event, RequestHead)] == [False]
    assert events[-1] is END


def test_a_broken_body_behind_an_offer():
    """It is as broken as any other."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"

    events = Http1Server().feed(head + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n")

    assert isinstance(events[-1], Broken)
    assert END not in events
