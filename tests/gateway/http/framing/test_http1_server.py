"""HTTP/1.1 from its server's side: which bytes are requests, which end the connection, and where each begins."""

from __future__ import annotations

import gc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http.framing.http1_server import END, Http1RequestHead, Http1Server, MalformedRequest, RequestEnd
from tests.fakes.framing_cases import CASES

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\nX-A: b\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"POST /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"

by_name = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def events(*pieces: bytes, parser: Http1Server | None = None) -> list[Any]:
    """What a stream brings, the parts of one body joined, and empty bodies left out."""
    parser, found = parser or Http1Server(), list[Any]()
    for event in (event for piece in pieces for event in parser.feed(piece)):
        if not isinstance(event, bytes | memoryview):
            found.append(event)
        elif found and isinstance(found[-1], bytes):
            found[-1] += bytes(event)
        elif event:
            found.append(bytes(event))
    return found


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces; places are shares of its length in 10,000."""
    edges = sorted({0, len(stream), *(place * len(stream) // 10_000 for place in places)})
    return [stream[start:stop] for start, stop in pairwise(edges)]


def heads(found: list[Any]) -> list[Http1RequestHead]:
    return [event for event in found if isinstance(event, Http1RequestHead)]


def broken(*pieces: bytes, parser: Http1Server | None = None) -> MalformedRequest:
    """How a stream ends that must end badly."""
    last = events(*pieces, parser=parser)[-1]
    assert isinstance(last, MalformedRequest)
    return last


# --- heads and bodies


def test_a_head():
    """Names in lower case, values as they came, in their order; no body is a body of length 0."""
    assert events(GET) == [
        Http1RequestHead(
            "GET",
            "/a?b",
            (("host", "x"), ("x-a", "b")),
            length=0,
            keep_alive=True,
            is_10=False,
            expects_continue=False,
            size=len("/a?b" + "host" + "x" + "x-a" + "b") + 2 * 4,
        ),
        END,
    ]


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: x, Close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
        (b"1.0", b"Connection: close\r\n", False),
    ],
)
def test_what_may_follow(version, connection, keeps):
    """1.1 goes on unless it says otherwise, 1.0 does not; bytes behind the last request are none of it."""
    sent = b"GET / HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, connection)
    parser = Http1Server()

    (head, end) = events(sent, parser=parser)
    then = events(GET, parser=parser)

    assert (head.keep_alive, head.is_10, end) == (keeps, version == b"1.0", END)
    assert [type(event) for event in then] == (
        [Http1RequestHead, RequestEnd] if keeps else [MalformedRequest]
    )


def test_a_body_of_a_length():
    """Exactly as many bytes as it says, though there are more."""
    head, body, _, then, _ = events(POST + GET)

    assert (head.length, body, then.path) == (3, b"abc", "/a?b")


def test_a_body_in_chunks():
    """Its parts without what stands between them; extensions and trailers are read and dropped."""
    sent = CHUNKED + b"2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nX-T: 1\r\n\r\n"

    head, body, end, then, _ = events(sent + GET)

    assert (head.length, body, end, then.path) == (None, b"abcde", END, "/a?b")
    assert then.headers == (("host", "x"), ("x-a", "b"))


def test_an_expectation():
    """Only 1.1 waits to be asked for its body."""
    sent = b"POST / HTTP/1.%d\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n"

    assert events(sent % 1)[0].expects_continue
    assert not events(sent % 0)[0].expects_continue


@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("lasts", [True, False])
def test_an_upgrade_is_not_taken(body, lasts):
    """The body behind an offer to upgrade is a body, and no request of its own."""
    offer = UPGRADE if lasts else UPGRADE.replace(b"Upgrade, HTTP2-Settings", b"Upgrade, close")
    sent = offer + body

    whole = events(sent + GET)

    assert whole == events(*(bytes([byte]) for byte in sent + GET))
    head, read, end, then = whole[:4]
    assert (head.path, read, end) == ("/u", b"abc", END)
    assert isinstance(then, Http1RequestHead if lasts else MalformedRequest)


def test_a_skipped_body():
    """Whoever took the body past the parser says so; the next request begins there."""
    parser = Http1Server()
    parser.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome")
    parser.skip_body()

    assert heads(events(GET, parser=parser))[0].path == "/a?b"


def test_in_head():
    """True from the first byte of a head to its last."""
    parser = Http1Server()
    seen = [parser.in_head]
    for piece in (GET[:1], GET[1:-1], GET[-1:], POST[:-1], POST[-1:]):
        parser.feed(piece)
        seen.append(parser.in_head)

    assert seen == [False, True, True, False, False, False]


def test_it_says_where_it_is():
    """For whoever looks at a connection that hangs."""
    parser = Http1Server()
    assert repr(parser) == "<Http1Server between requests or in a body>"
    parser.feed(b"GET /")
    assert repr(parser) == "<Http1Server in a head>"
    parser.feed(b"\0")
    assert repr(parser) == "<Http1Server over>"


# --- many requests


def test_pipelined_requests():
    """One piece of the stream may hold many, of every kind, and a part of one."""
    chunked = CHUNKED + b"1\r\nx\r\n0\r\n\r\n"
    parser = Http1Server()

    found = events(GET + POST + chunked + POST + GET[:9], parser=parser)
    rest = events(GET[9:], parser=parser)

    assert [head.path for head in heads(found)] == ["/a?b", "/p", "/c", "/p"]
    assert sum(event is END for event in found) == 4
    assert heads(rest)[0].path == "/a?b"


def test_the_same_head_is_the_same_object():
    """Whoever reads it may remember what it found; the body is each time its own."""
    parser = Http1Server()

    first, second, third = (parser.feed(POST[:-3] + body) for body in (b"abc", b"def", b"ghi"))

    assert first[0] is second[0] is third[0]
    assert [bytes(found[1]) for found in (first, second, third)] == [b"abc", b"def", b"ghi"]


def test_repeats_in_one_piece():
    """Many of the same in one piece are as many requests, and what follows them is read on."""
    parser = Http1Server()
    parser.feed(POST)

    found = parser.feed(POST * 3 + GET)

    assert [type(event) for event in found].count(RequestEnd) == 4
    assert len({id(head) for head in heads(found)}) == 2
    assert heads(found)[-1].path == "/a?b"


def test_half_a_repeat():
    """A repeat whose body is not all here is read as any other request."""
    parser = Http1Server()
    parser.feed(POST)

    found = events(POST[:-1], POST[-1:] + GET, parser=parser)

    assert [type(event) for event in found] == [
        Http1RequestHead,
        bytes,
        RequestEnd,
        Http1RequestHead,
        RequestEnd,
    ]
    assert found[1] == b"abc"


@pytest.mark.parametrize("body", [POST, GET, CHUNKED, b"\r\n\r\n"])
def test_a_body_that_looks_like_a_request(body):
    """Inside of a body nothing begins, not even what was a request before."""
    carrier = b"POST /carrier HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    parser = Http1Server()
    parser.feed(POST)

    found = events(carrier, body, POST, parser=parser)

    assert [head.path for head in heads(found)] == ["/carrier", "/p"]
    assert found[1] == body


def test_the_last_request_does_not_repeat():
    """After 'close' the same bytes are not a request any more, though they were one before."""
    parser = Http1Server()
    events(POST, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", parser=parser)

    assert broken(POST, parser=parser).status == 400


@pytest.mark.parametrize("size", [100, 1 << 14, 1 << 16])
def test_a_repeat_of_any_size(size):
    """Large bodies are views of the piece, small ones copies: their bytes are the same."""
    sent = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
    parser = Http1Server()

    assert events(sent, parser=parser) == events(sent, parser=parser)


# --- what ends the connection


@by_name
def test_cases(case):
    """Each is one request, or is refused with its status."""
    found = events(case.sent)
    refused = [event.status for event in found if isinstance(event, MalformedRequest)]

    assert refused == ([] if case.status == 200 else [case.status])
    if case.status == 200:
        assert [type(event) for event in found if not isinstance(event, bytes)] == [
            Http1RequestHead,
            RequestEnd,
        ]


def test_nothing_is_read_after_what_is_broken():
    """Where the next request would begin is not known."""
    parser = Http1Server()
    broken(b"GET / HTTP/1.1\r\nHost: x\0\r\n\r\n", parser=parser)

    assert parser.feed(GET) == []


def test_what_is_broken_leaves_what_came_before():
    """Requests that were complete stay so."""
    found = events(GET + POST + b"\0" + GET)

    assert [type(event) for event in found] == [
        Http1RequestHead,
        RequestEnd,
        Http1RequestHead,
        bytes,
        RequestEnd,
        MalformedRequest,
    ]


LIMITED = {"max_head_bytes": 200, "max_headers": 5}


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 500,
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 500,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X" * 500,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 5 + b"\r\n",
        CHUNKED + b"0\r\n" + b"X: a\r\n" * 5,
        CHUNKED + b"0\r\nX: " + b"a" * 500,
        CHUNKED + b"1;" + b"a" * 500,
        CHUNKED + (b"1;" + b"a" * 90 + b"\r\nx\r\n") * 9,
    ],
    ids=["target", "value", "name", "headers", "trailers", "trailer", "extension", "extensions"],
)
@pytest.mark.parametrize("step", [1, 50, 300])
def test_heads_and_framing_are_bounded(sent, step):
    """However slowly it comes: what nobody wants to keep is not waited for."""
    pieces = [sent[start : start + step] for start in range(0, len(sent), step)]

    assert broken(*pieces, parser=Http1Server(**LIMITED)).status == 431


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_many_small_chunks_are_no_overhead(step):
    """A body in chunks of one byte is slow, not hostile."""
    sent = CHUNKED + b"1\r\nx\r\n" * 500 + b"0\r\n\r\n"
    pieces = [sent[start : start + step] for start in range(0, len(sent), step)]

    assert events(*pieces, parser=Http1Server(**LIMITED))[1] == b"x" * 500


# --- cuts


@by_name
@given(places=st.lists(st.integers(0, 10_000), max_size=8))
def test_a_case_is_the_same_in_pieces(case, places):
    """A request that is refused cannot be saved by the way that it is cut, nor one broken that is good."""
    if len(case.sent) > 4000:
        # The bound on what is not complete depends on the pieces; only that there is one does not.
        assert broken(*cut(case.sent, places)).status == case.status
    else:
        assert events(*cut(case.sent, places)) == events(case.sent)


ONES = [case.sent for case in CASES if len(case.sent) < 4000] + [
    GET,
    POST,
    POST,
    CHUNKED + b"1\r\nx\r\n0\r\n\r\n",
]


@given(
    st.lists(st.sampled_from(ONES), min_size=1, max_size=6),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.one_of(st.just(b""), st.binary(max_size=40)),
)
@example([POST, POST, GET, POST], [5000], b"")
@example([UPGRADE + b"Content-Length: 3\r\n\r\nabc", POST], list(range(0, 10_000, 50)), b"")
def test_where_the_stream_is_cut_changes_nothing(requests, places, noise):
    """However the stream is cut, the same events, whatever stands in it."""
    stream = b"".join(requests) + noise

    assert events(*cut(stream, places)) == events(stream)


WHOLE = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 300\r\n\r\n" + b"a" * 300


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "pieces", [[WHOLE], [WHOLE[:-20], WHOLE[-20:]], [CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"]]
)
def test_a_body_is_kept_by_nobody_but_who_took_it(pieces: list[bytes], times: int):
    """A connection may rest for minutes; what came on it may not be kept in every region."""
    parser, bodies = Http1Server(), list[bytes]()
    for piece in pieces * times:
        bodies += [event for event in parser.feed(piece) if isinstance(event, bytes)]

    assert bodies
    for body in bodies:
        assert [each for each in gc.get_referrers(body) if isinstance(each, list)] == [bodies]
