"""A head that is sent again is the same object."""

from __future__ import annotations

from gateway.http.framing.http1_server import Http1RequestHead
from gateway.http.server.repeated_head import RepeatedHead

ONE = Http1RequestHead("GET", "/one", (("a", "1"),), 0, True, False, False)
TWO = Http1RequestHead("POST", "/two", (), 0, True, False, False)


def test_the_same_head_is_the_same_object():
    """With what was noted on it; another head in between makes a new one."""
    heads = RepeatedHead("10.0.0.1")
    first = heads.of(ONE)
    first.notes["read"] = True

    assert heads.of(ONE) is first
    assert repr(heads) == "<RepeatedHead GET /one>"
    assert heads.of(TWO) is not first
    assert heads.of(ONE).notes == {}


def test_what_a_head_has():
    """All that the framing has read, and whose connection it is."""
    head = RepeatedHead("10.0.0.1").of(ONE)

    assert (head.method, head.path, head.headers) == ("GET", "/one", (("a", "1"),))
    assert (head.peer, head.is_http2) == ("10.0.0.1", False)
    assert RepeatedHead("", is_http2=True).of(TWO).is_http2
